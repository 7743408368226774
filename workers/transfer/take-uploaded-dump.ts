import { ARTIFACT_NAMES } from '../../shared/domain/artifact.ts'
import type { DumpContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { DumpParser, type ParsedDump } from '../../shared/postgres/dump-parser.ts'
import { uncompressArchive } from '../../shared/postgres/uncompress-archive.ts'
import type { TakeContext } from '../run-processor.ts'
import type { TakenBackup } from '../seal.ts'
import type { Uploaded } from './take-upload.ts'
import { peek } from './unpack.ts'

const LOOKED_AT = 512

/** Stores a dump that somebody else made as one of Coffer's own: uncompressed inside, every byte parsed and every row counted. */
export async function takeUploadedDump(
  { run, store, recipients, life }: TakeContext,
  { source, receivedAt }: Uploaded,
): Promise<TakenBackup> {
  const sent = source[Symbol.asyncIterator]() as AsyncGenerator<Buffer, void, void>
  const { first, all } = await peek(sent, LOOKED_AT)
  try {
    refuseOtherFormats(first)
  } catch (error) {
    // Nobody reads on, and what is read from the store would stay open.
    await sent.return()
    throw error
  }
  const parser = new DumpParser()
  const { record } = await writeArtifact({
    store,
    key: `${run.keyPrefix}${ARTIFACT_NAMES.dump}`,
    kind: 'dump',
    source: uncompressArchive(all),
    inspect: (chunk) => parser.push(chunk),
    recipients,
    signal: life.signal,
    onProgress: ({ plainBytes, storedBytes }) => life.report({ plain_bytes: plainBytes, stored_bytes: storedBytes }),
  })
  const parsed = parser.end()
  const { createdAt } = parsed.header
  return {
    artifacts: [record],
    contents: contentsOf(parsed),
    takenAt: createdAt < receivedAt ? createdAt : receivedAt,
    success: 'SUCCESS',
    warnings: [
      'uploaded: the dump does not say which collation its database had, in which versions its extensions were, nor of which zone its time is (taken for UTC)',
    ],
    files: null,
  }
}

/** What the archive itself tells; what it does not is empty. */
const contentsOf = ({ header, encoding, extensions, tables, largeObjects, tocEntries }: ParsedDump): DumpContents => ({
  kind: 'postgresql',
  server_version: header.serverVersion,
  client_version: header.clientVersion,
  database: header.database,
  encoding,
  collate: '',
  ctype: '',
  extensions: extensions.map((extension) => ({ ...extension, version: '' })),
  tables,
  large_objects: largeObjects,
  toc_entries: tocEntries,
})

/** @throws DUMP_INVALID that names what it is, and what to send instead */
function refuseOtherFormats(first: Buffer): void {
  if (first.length === 0) throw new CofferError('DUMP_INVALID', 'the dump is empty')
  if (first.toString('latin1', 0, 5) === 'PGDMP') return
  const isTar = first.toString('latin1', 257, 262) === 'ustar'
  const isText = /^(--|\/\*|\\|SET |CREATE |DROP |BEGIN|INSERT )/i.test(first.toString('latin1').trimStart())
  const what = isTar ? 'a tar' : isText ? 'plain SQL' : 'in no format that pg_dump writes'
  throw new CofferError(
    'DUMP_INVALID',
    `the dump is ${what}: only the custom format can be proven to be whole; make it with pg_dump --format=custom (-Fc)`,
  )
}
