import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FileEntry } from '../../shared/domain/file-list.ts'
import {
  encodeFileEntry,
  isInArchive,
  LONGEST_LINE,
  parseFileEntry,
  pathFields,
  pathOf,
  readFileList,
} from '../../shared/media/file-list.ts'
import { inPieces } from '../support/streams.ts'

const ENTRY: FileEntry = { path: 'ü\n.jpg', type: 'file', size: 1, mode: 0o644, uid: 0, gid: 0, mtime_ns: '-1' }

async function read(list: Buffer, size?: number): Promise<FileEntry[]> {
  const entries = []
  for await (const entry of readFileList(inPieces(list, size))) entries.push(entry)
  return entries
}

test('any bytes of a path survive the list, as text where they are UTF-8', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), async (array) => {
      const path = Buffer.from(array).toString('latin1')
      const [entry] = await read(encodeFileEntry({ ...ENTRY, path: undefined, ...pathFields(path) }))
      expect(entry && pathOf(entry)).toBe(path)
      expect(entry?.path === undefined).toBe(!Buffer.from(Buffer.from(array).toString()).equals(Buffer.from(array)))
    }),
  )
})

test('the same entries come out of chunks of every size', async () => {
  const entries = [ENTRY, { ...ENTRY, path: 'second' }, { ...ENTRY, path: 'third' }]
  const list = Buffer.concat(entries.map(encodeFileEntry))
  for (let size = 1; size <= list.length; size++) expect(await read(list, size)).toEqual(entries)
})

test('an empty list has no entries', async () => {
  expect(await read(Buffer.alloc(0))).toEqual([])
})

test.each([
  ['a list that breaks off', Buffer.from(encodeFileEntry(ENTRY).subarray(0, -1)), 'whole line'],
  ['a line that is no JSON', Buffer.from('{\n'), 'not a file entry'],
  ['a line without a type', Buffer.from('{"path":"x"}\n'), 'not a file entry'],
  ['a line that never ends', Buffer.alloc(LONGEST_LINE + 1, 'x'), 'longer than'],
])('%s is ARTIFACT_CORRUPT', async (_, list, message) => {
  await expect(read(list)).rejects.toThrow(message)
  await expect(read(list)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
})

test('an entry with two paths, or none, is refused', () => {
  expect(() => parseFileEntry(JSON.stringify({ ...ENTRY, path_b64: 'eA==' }))).toThrow('not a file entry')
  expect(() => parseFileEntry(JSON.stringify({ ...ENTRY, path: undefined }))).toThrow('not a file entry')
})

test.each<[Partial<FileEntry>, boolean]>([
  [{}, true],
  [{ flag: 'changed' }, true],
  [{ flag: 'vanished' }, false],
  [{ flag: 'skipped' }, false],
  [{ flag: 'unreadable' }, false],
  [{ flag: 'unreadable', offset: 0 }, true],
])('%o in the archive: %s', (fields, isIn) => {
  expect(isInArchive({ ...ENTRY, ...fields })).toBe(isIn)
})
