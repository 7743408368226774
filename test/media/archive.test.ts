import fs from 'node:fs'
import { expect, test } from 'vitest'
import type { FileEntry } from '../../shared/domain/file-list.ts'
import { openArchive } from '../../shared/media/archive.ts'
import { isInArchive, pathOf, readFileList } from '../../shared/media/file-list.ts'
import { archive, scratch, untar } from '../support/media-archives.ts'
import { IS_ROOT, look, makeSocket, makeSpecials, makeZoo } from '../support/media-zoo.ts'
import { inPieces, sha256 } from '../support/streams.ts'

test('a tree of every kind, unpacked with stock tar, equals itself by lstat and content', async () => {
  await using place = scratch()
  makeZoo(`${place.path}/zoo`)
  const { tar, contents } = await archive(`${place.path}/zoo`)
  untar(tar, `${place.path}/out`)
  const before = look(`${place.path}/zoo`)
  const after = look(`${place.path}/out`)
  expect(after.delete('MANIFEST')).toBe(true)
  expect(after).toEqual(before)
  const files = [...before.values()].filter(({ type }) => type === 'file')
  expect(contents).toMatchObject({ list_member: 'MANIFEST', entries: before.size, files: files.length, unreadable: 0 })
})

test('the list tells where the bytes of each file lie in the archive, and their hash', async () => {
  await using place = scratch()
  makeZoo(place.path)
  const { tar, entries } = await archive(place.path)
  const before = look(place.path)
  for (const entry of entries.filter(({ type }) => type === 'file')) {
    const { offset = NaN, size, artifact } = entry
    expect(artifact).toBe('key/media.tar.zst.age')
    expect(sha256(tar.subarray(offset, offset + size))).toBe(entry.sha256)
    expect(entry.sha256).toBe(before.get(pathOf(entry))?.sha256)
  }
  expect(entries.find(({ path }) => path === 'plain.jpg')?.content_type).toBe('image/jpeg')
})

test('the list is in bytewise order of the paths, a folder before what it holds', async () => {
  await using place = scratch()
  makeZoo(place.path)
  const { entries } = await archive(place.path)
  const paths = entries.map((entry) => pathOf(entry) + (entry.type === 'directory' ? '/' : ''))
  expect(paths).toEqual([...paths].sort())
})

test.each([
  { own: [], member: 'MANIFEST' },
  { own: ['MANIFEST'], member: 'MANIFEST.coffer' },
  { own: ['MANIFEST/'], member: 'MANIFEST.coffer' },
  { own: ['MANIFEST', 'MANIFEST.coffer'], member: 'MANIFEST.coffer.1' },
  { own: ['MANIFEST', 'MANIFEST.coffer', 'MANIFEST.coffer.1'], member: 'MANIFEST.coffer.2' },
])('a tree with $own has the list as $member, the last member', async ({ own, member }) => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  for (const name of own) {
    if (name.endsWith('/')) fs.mkdirSync(`${place.path}/in/${name}`)
    else fs.writeFileSync(`${place.path}/in/${name}`, 'their own')
  }
  const { tar, contents, entries } = await archive(`${place.path}/in`)
  expect(contents.list_member).toBe(member)
  untar(tar, `${place.path}/out`)
  const listed: FileEntry[] = []
  for await (const entry of readFileList(fs.createReadStream(`${place.path}/out/${member}`))) listed.push(entry)
  expect(listed).toEqual(entries)
  for (const name of own.filter((name) => !name.endsWith('/'))) {
    expect(fs.readFileSync(`${place.path}/out/${name}`, 'utf8')).toBe('their own')
  }
})

test('what holds no content is listed with a reason, is not in the archive, and never hangs it', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  fs.writeFileSync(`${place.path}/in/file`, 'x')
  makeSpecials(`${place.path}/in`)
  const closeSocket = await makeSocket(`${place.path}/in/socket`)
  const { tar, entries, contents, warnings } = await archive(`${place.path}/in`)
  closeSocket()
  const skipped: Record<string, string> = Object.fromEntries(
    entries.filter((entry) => !isInArchive(entry)).map((entry) => [pathOf(entry), entry.type]),
  )
  expect(skipped).toEqual({
    fifo: 'fifo',
    socket: 'socket',
    ...(IS_ROOT && { null: 'char', disk: 'block' }),
  })
  expect(contents).toMatchObject({ files: 1, skipped: IS_ROOT ? 4 : 2, unreadable: 0 })
  expect(warnings).toContain('"fifo" skipped: a fifo holds no content to back up')
  untar(tar, `${place.path}/out`)
  expect(fs.readdirSync(`${place.path}/out`)).toEqual(['MANIFEST', 'file'])
})

test('an empty folder is an archive with an empty list', async () => {
  await using place = scratch()
  const { tar, contents } = await archive(place.path)
  expect(contents).toMatchObject({ entries: 0, files: 0, bytes: 0, list_member: 'MANIFEST' })
  expect(tar.length).toBe(512 + 1024)
})

test('a missing root is MEDIA_ROOT_MISSING', async () => {
  await using place = scratch()
  await expect(archive(`${place.path}/none`)).rejects.toMatchObject({ code: 'MEDIA_ROOT_MISSING' })
})

test('progress grows while a large file is read, and ends at what was archived', async () => {
  await using place = scratch()
  fs.writeFileSync(`${place.path}/large`, Buffer.alloc(3_000_000))
  fs.writeFileSync(`${place.path}/small`, 'x')
  const seen: { files: number; bytes: number }[] = []
  await archive(place.path, { onProgress: (progress) => seen.push(progress) })
  expect(seen.filter(({ files, bytes }) => files === 0 && bytes > 0 && bytes < 3_000_000).length).toBeGreaterThan(2)
  expect(seen.at(-1)).toEqual({ files: 2, bytes: 3_000_001 })
  expect(seen.map(({ bytes }) => bytes)).toEqual(seen.map(({ bytes }) => bytes).sort((a, b) => a - b))
})

const descriptors = () => fs.readdirSync('/proc/self/fd').length

test('an abort ends with its reason and leaves no descriptor open', async () => {
  await using place = scratch()
  makeZoo(place.path)
  const before = descriptors()
  const stop = new AbortController()
  const reason = new Error('stopped')
  const running = archive(place.path, {
    signal: stop.signal,
    onEntry: (_, count) => {
      if (count === 20) stop.abort(reason)
    },
  })
  await expect(running).rejects.toBe(reason)
  expect(descriptors()).toBe(before)
})

test('a reader that goes away in the middle of a large file leaves no descriptor open', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/a/b`, { recursive: true })
  fs.writeFileSync(`${place.path}/a/b/large`, Buffer.alloc(3_000_000))
  const before = descriptors()
  const gone = new Error('gone')
  await expect(archive(place.path, { onChunk: () => Promise.reject(gone) })).rejects.toBe(gone)
  expect(descriptors()).toBe(before)
})

test('nothing stays open after a whole archive', async () => {
  await using place = scratch()
  makeZoo(place.path)
  const before = descriptors()
  await archive(place.path)
  expect(descriptors()).toBe(before)
})

function opened(root: string, list: Buffer, announced = list.length) {
  return openArchive({
    root,
    artifact: 'k',
    appendToList: () => Promise.resolve(),
    closeList: () => Promise.resolve({ size: announced, open: () => inPieces(list) }),
  })
}

test.each([
  ['a flipped bit in a name', (tar: Buffer) => tar.fill('X', 0, 1)],
  ['a missing block', (tar: Buffer) => tar.subarray(512)],
  ['a missing end', (tar: Buffer) => tar.subarray(0, -512)],
  ['a member too many', (tar: Buffer) => Buffer.concat([tar.subarray(0, 1024), tar])],
])('%s in the bytes that went out is ARCHIVE_INVALID', async (_, damage) => {
  await using place = scratch()
  fs.writeFileSync(`${place.path}/file`, 'x')
  const run = opened(place.path, Buffer.from('{}\n'))
  const chunks: Buffer[] = []
  for await (const chunk of run.source) chunks.push(chunk)
  for await (const chunk of inPieces(damage(Buffer.concat(chunks)), 1000)) run.inspect(chunk)
  expect(() => run.contents()).toThrow(expect.objectContaining({ code: 'ARCHIVE_INVALID' }))
})

test('another sound archive in place of the one that was written is ARCHIVE_INVALID', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/one`)
  fs.mkdirSync(`${place.path}/two`)
  fs.writeFileSync(`${place.path}/one/a`, 'x')
  fs.writeFileSync(`${place.path}/two/b`, 'x')
  const other: Buffer[] = []
  for await (const chunk of opened(`${place.path}/two`, Buffer.from('{}\n')).source) other.push(chunk)
  const run = opened(`${place.path}/one`, Buffer.from('{}\n'))
  for await (const chunk of run.source) expect(chunk.length).toBeGreaterThan(0)
  for (const chunk of other) run.inspect(chunk)
  expect(() => run.contents()).toThrow('not those that were written')
})

test('an archive that nobody inspected is ARCHIVE_INVALID', async () => {
  await using place = scratch()
  const run = opened(place.path, Buffer.from(''))
  for await (const chunk of run.source) expect(chunk.length).toBeGreaterThan(0)
  expect(() => run.contents()).toThrow(expect.objectContaining({ code: 'ARCHIVE_INVALID' }))
})

test.each([
  ['shorter', 5],
  ['longer', 1],
])('a list that is %s than announced is ARCHIVE_INVALID', async (_, announced) => {
  await using place = scratch()
  const run = opened(place.path, Buffer.from('{}\n'), announced)
  await expect(async () => {
    for await (const chunk of run.source) run.inspect(chunk)
  }).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' })
})
