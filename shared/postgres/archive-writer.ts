import { OFFSET_FLAGS, SECTION_DATA, SECTION_PRE_DATA, type ArchiveHeader } from './archive-toc.ts'

const BLOCK_LARGE_OBJECTS = 3
const OFFSET = Buffer.alloc(8)
const NO_TEXT = writeInt(-1)

/** A sign byte, then four bytes of magnitude, least byte first. */
export function writeInt(value: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt8(value < 0 ? 1 : 0)
  bytes.writeUInt32LE(Math.abs(value), 1)
  return bytes
}

/** An entry whose SQL pg_restore runs when its turn comes. */
export function writeSqlEntry({ minor }: ArchiveHeader, dumpId: number, name: string, sql: string): Buffer {
  return writeEntry(minor, { dumpId, name, kind: 'COFFER', section: SECTION_PRE_DATA, hasData: false, sql })
}

/**
 * An entry of data with no large object in it, and its block. pg_restore can't get past this entry before it has read the block, and
 * so it can't commit: what must be proven first holds the block back.
 */
export function writeGate({ minor }: ArchiveHeader, dumpId: number): { entry: Buffer; block: Buffer } {
  return {
    entry: writeEntry(minor, { dumpId, name: 'BLOBS', kind: 'BLOBS', section: SECTION_DATA, hasData: true, sql: null }),
    block: Buffer.concat([Buffer.of(BLOCK_LARGE_OBJECTS), writeInt(dumpId), writeInt(0)]),
  }
}

interface NewEntry {
  dumpId: number
  name: string
  kind: string
  section: number
  hasData: boolean
  sql: string | null
}

/** Field after field in the order of readTocEntry. */
function writeEntry(minor: number, { dumpId, name, kind, section, hasData, sql }: NewEntry): Buffer {
  const [definition, drop, copy, schema, tablespace, accessMethod, owner] = [sql, null, null, '', null, null, '']
  return Buffer.concat([
    writeInt(dumpId),
    writeInt(hasData ? 1 : 0),
    ...['0', '0', name, kind].map(writeText),
    writeInt(section),
    ...[definition, drop, copy, schema, tablespace].map(writeText),
    ...(minor >= 14 ? [writeText(accessMethod)] : []),
    ...(minor >= 16 ? [writeInt(0)] : []),
    ...[owner, 'false', null].map(writeText),
    Buffer.of(hasData ? OFFSET_FLAGS.notSet : OFFSET_FLAGS.noData),
    OFFSET,
  ])
}

function writeText(text: string | null): Buffer {
  if (text === null) return NO_TEXT
  const bytes = Buffer.from(text)
  return Buffer.concat([writeInt(bytes.length), bytes])
}
