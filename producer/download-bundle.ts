import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { ZipArchive } from 'archiver'
import type { DownloadItem } from '../shared/catalog/downloads.ts'
import { asBuffer, holdBack } from '../shared/pipeline/chunks.ts'
import { fileName } from './download-links.ts'

/** A damaged end of an artifact is found before it is in the bundle. */
const HELD_BACK_BYTES = 64 * 1024
const RECOVERY_PAGE = join(import.meta.dirname, '../docs/recover-without-coffer.md')

export interface BundleEntry {
  /** In the bundle: folders by '/'. */
  name: string
  source: AsyncIterable<Buffer>
  /** Not worth compressing again. */
  isPacked: boolean
}

export interface BundleOptions {
  /** All artifacts of a download, those of one service-instance backup side by side. */
  items: readonly DownloadItem[]
  /** The text of each one's manifest.json, by the service-instance backup. */
  manifests: ReadonlyMap<string, string>
  open: (item: DownloadItem) => AsyncIterable<Buffer>
}

/** Everything of a download, plain, in a folder for each service instance with its manifest, and the page on recovery. */
export async function* bundleEntries({
  items,
  manifests,
  open,
}: BundleOptions): AsyncGenerator<BundleEntry, void, void> {
  yield text('recover-without-coffer.md', await readFile(RECOVERY_PAGE))
  const described = new Set<string>()
  for (const item of items) {
    const folder = `${item.prefix}-${item.service_type}`
    const part = item.service_instance_backup
    if (!described.has(part)) yield text(`${folder}/manifest.json`, Buffer.from(manifests.get(part) ?? ''))
    described.add(part)
    yield {
      name: `${folder}/${fileName(item, 'plain')}`,
      source: holdBack(open(item), HELD_BACK_BYTES),
      isPacked: item.record.kind === 'archive',
    }
  }
}

const text = (name: string, bytes: Buffer): BundleEntry => ({ name, source: Readable.from([bytes]), isPacked: false })

/**
 * A zip of unknown length (Zip64, so that nothing is too large), one entry after the other, in constant memory. When an entry
 * fails, it fails there, before its central directory: no program takes the beginning for the whole.
 */
export async function* zipped(entries: AsyncIterable<BundleEntry>): AsyncGenerator<Buffer, void, void> {
  const zip = new ZipArchive({ forceZip64: true, zlib: { level: 1 } })
  const left = new AbortController()
  const filled = fill(zip, entries, left.signal).catch((error: unknown) => void zip.destroy(error as Error))
  try {
    for await (const chunk of zip) yield asBuffer(chunk as Uint8Array)
  } finally {
    left.abort()
    zip.destroy()
    await filled
  }
}

async function fill(zip: ZipArchive, entries: AsyncIterable<BundleEntry>, signal: AbortSignal): Promise<void> {
  for await (const { name, source, isPacked } of entries) {
    const stream = Readable.from(source, { objectMode: false })
    stream.once('error', (error) => zip.destroy(error))
    try {
      zip.append(stream, { name, store: isPacked })
      await once(zip, 'entry', { signal })
    } finally {
      stream.destroy()
    }
  }
  await zip.finalize()
}
