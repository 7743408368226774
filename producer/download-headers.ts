import type { Request, Response } from 'express'
import type { ArtifactKind, ArtifactRecord } from '../shared/domain/artifact.ts'
import { CofferError } from '../shared/errors.ts'
import type { DownloadItem } from '../shared/catalog/downloads.ts'
import { bundleName, type DownloadForm } from './download-links.ts'

/** Offsets in bytes, both inclusive. */
export interface ByteRange {
  start: number
  end: number
}

const PLAIN_TYPES: Record<ArtifactKind, string> = {
  dump: 'application/octet-stream',
  archive: 'application/x-tar',
  'file-list': 'application/x-ndjson',
}

/** `X-Checksum-Sha256` (hex) and `Repr-Digest` are of the whole artifact, also when a range of it is sent. */
export function artifactHeaders(
  record: ArtifactRecord,
  form: DownloadForm,
  fileName: string,
  range: ByteRange | null,
): Record<string, string> {
  const [size, sha256] =
    form === 'plain' ? [record.plain_size, record.plain_sha256] : [record.stored_size, record.stored_sha256]
  return {
    'Content-Type': form === 'plain' ? PLAIN_TYPES[record.kind] : 'application/octet-stream',
    'Content-Length': String(range === null ? size : range.end - range.start + 1),
    'Content-Disposition': `attachment; filename="${fileName}"`,
    'Accept-Ranges': form === 'plain' ? 'none' : 'bytes',
    ...(range === null ? {} : { 'Content-Range': `bytes ${range.start}-${range.end}/${size}` }),
    ETag: `"${sha256}"`,
    'X-Checksum-Sha256': sha256,
    'Repr-Digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
    'Cache-Control': 'private, no-store, no-transform',
  }
}

/** Its length is not known before it ends. */
export const bundleHeaders = ([first]: readonly DownloadItem[]): Record<string, string> => ({
  'Content-Type': 'application/zip',
  'Content-Disposition': `attachment; filename="${first ? bundleName(first) : 'backup.zip'}"`,
  'Accept-Ranges': 'none',
  'Cache-Control': 'private, no-store, no-transform',
})

/**
 * The one range asked for of the stored form. null: all of it, also when several ranges are asked for, when the header makes no sense, or
 * when `If-Range` names other bytes. @throws RANGE_NOT_SATISFIABLE
 */
export function requestedRange(request: Request, response: Response, record: ArtifactRecord): ByteRange | null {
  const size = record.stored_size
  const condition = request.get('if-range')
  if (condition !== undefined && condition !== `"${record.stored_sha256}"`) return null
  const ranges = request.range(size)
  if (ranges === -1) {
    response.set('Content-Range', `bytes */${size}`)
    throw new CofferError(
      'RANGE_NOT_SATISFIABLE',
      `the artifact has ${size} bytes, so it has no ${request.get('range') ?? ''}`,
    )
  }
  if (ranges === undefined || ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return null
  const [range] = ranges
  return range ? { start: range.start, end: range.end } : null
}
