import type { Manifest } from '../../shared/domain/manifest.ts'
import { checkArchive } from './check-archive.ts'
import { DumpCheck } from './check-dump.ts'
import { drain, readPlain, recordOf, type PartToVerify } from './part.ts'

/**
 * Reads all stored bytes, decrypts and decompresses them, and proves again what was proven when they were written: both digests, that they
 * parse, and that they hold what the manifest counts.
 * @throws what readArtifact throws; DUMP_INVALID, ARCHIVE_INVALID, CONTENTS_DIFFER
 */
export async function checkContents(part: PartToVerify, manifest: Manifest): Promise<Record<string, unknown>> {
  const { contents } = manifest
  if (contents.kind === 'postgresql') {
    const check = new DumpCheck()
    await drain(readPlain(part, recordOf(manifest, 'dump'), (chunk) => check.inspect(chunk)))
    return { ...check.finish(contents) }
  }
  const list = recordOf(manifest, 'file-list')
  const sources = { archive: readPlain(part, recordOf(manifest, 'archive')), list: readPlain(part, list) }
  return { ...(await checkArchive(sources, list, contents)) }
}
