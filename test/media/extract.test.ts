import fs from 'node:fs'
import { expect, test } from 'vitest'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { archive, mounted, scratch, type Archived } from '../support/media-archives.ts'
import { expectSameTree, IS_ROOT, look, makeSocket, makeSpecials, makeZoo } from '../support/media-zoo.ts'
import { inPieces } from '../support/streams.ts'

const restore = ({ tar, contents }: Archived, target: string, pieceSize = 65_536) =>
  extractIntoEmpty({ source: inPieces(tar, pieceSize), target, expected: contents })

test.each([1, 511, 512, 513, 100_000])(
  'a tree of every kind comes back, from chunks of %i bytes',
  async (pieceSize) => {
    await using place = scratch()
    makeZoo(`${place.path}/zoo`)
    if (pieceSize < 511)
      for (const large of ['sizes', 'links']) fs.rmSync(`${place.path}/zoo/${large}`, { recursive: true })
    const archived = await archive(`${place.path}/zoo`)
    const report = await restore(archived, `${place.path}/out`, pieceSize)
    expectSameTree(look(`${place.path}/out`), look(`${place.path}/zoo`))
    expect(report).toEqual({
      files: archived.contents.files,
      bytes: archived.contents.bytes,
      warnings: ['setuid and setgid were dropped from 2 files'],
    })
    expect(fs.readdirSync(place.path).sort()).toEqual(['out', 'zoo'])
  },
)

test("a tree's own MANIFEST comes back, the list does not", async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  fs.writeFileSync(`${place.path}/in/MANIFEST`, 'their own')
  await restore(await archive(`${place.path}/in`), `${place.path}/out`)
  expect(fs.readdirSync(`${place.path}/out`)).toEqual(['MANIFEST'])
  expect(fs.readFileSync(`${place.path}/out/MANIFEST`, 'utf8')).toBe('their own')
})

test('an empty tree comes back as an empty folder', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  expect(await restore(await archive(`${place.path}/in`), `${place.path}/out`)).toEqual({
    files: 0,
    bytes: 0,
    warnings: [],
  })
  expect(fs.readdirSync(`${place.path}/out`)).toEqual([])
})

test('what was never in the archive is told in a warning', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  fs.writeFileSync(`${place.path}/in/file`, 'x')
  makeSpecials(`${place.path}/in`)
  const closeSocket = await makeSocket(`${place.path}/in/socket`)
  const archived = await archive(`${place.path}/in`)
  closeSocket()
  const { warnings } = await restore(archived, `${place.path}/out`)
  expect(warnings).toEqual([
    `${IS_ROOT ? 4 : 2} entries of the list were never in the archive (vanished, skipped, unreadable)`,
  ])
})

async function sample(path: string): Promise<Archived> {
  fs.mkdirSync(`${path}/in/folder`, { recursive: true })
  fs.writeFileSync(`${path}/in/folder/file`, 'content')
  fs.writeFileSync(`${path}/in/large`, Buffer.alloc(400_000, 'x'))
  fs.linkSync(`${path}/in/large`, `${path}/in/linked`)
  return archive(`${path}/in`)
}

test('an existing empty folder keeps its own mode and owner', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/out`)
  fs.chmodSync(`${place.path}/out`, 0o2770)
  if (IS_ROOT) fs.chownSync(`${place.path}/out`, 4321, 4321)
  await restore(await sample(place.path), `${place.path}/out`)
  const { mode, uid } = fs.statSync(`${place.path}/out`)
  expect(mode & 0o7777).toBe(0o2770)
  if (IS_ROOT) expect(uid).toBe(4321)
})

test('a target whose parents do not exist is made', async () => {
  await using place = scratch()
  await restore(await sample(place.path), `${place.path}/a/b/out`)
  expectSameTree(look(`${place.path}/a/b/out`), look(`${place.path}/in`))
})

test('a target that is a symlink to an empty folder is restored into that folder', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/real`)
  fs.symlinkSync('real', `${place.path}/out`)
  await restore(await sample(place.path), `${place.path}/out`)
  expect(fs.lstatSync(`${place.path}/out`).isSymbolicLink()).toBe(true)
  expectSameTree(look(`${place.path}/real`), look(`${place.path}/in`))
})

test('a target that holds something is TARGET_NOT_EMPTY, names it and is not touched', async () => {
  await using place = scratch()
  const archived = await sample(place.path)
  fs.mkdirSync(`${place.path}/out`)
  for (const name of ['a', 'b', 'c\n', 'd', 'e']) fs.writeFileSync(`${place.path}/out/${name}`, 'mine')
  const before = look(place.path)
  const answer = restore(archived, `${place.path}/out`)
  await expect(answer).rejects.toMatchObject({ code: 'TARGET_NOT_EMPTY', details: { entries: 5 } })
  await expect(answer).rejects.toThrow('holds "a", "b", "c\\n" and 2 more')
  expect(look(place.path)).toEqual(before)
})

test('a target that is a file is TARGET_NOT_EMPTY', async () => {
  await using place = scratch()
  fs.writeFileSync(`${place.path}/out`, 'mine')
  await expect(restore(await sample(place.path), `${place.path}/out`)).rejects.toMatchObject({
    code: 'TARGET_NOT_EMPTY',
  })
})

test('a target that is filled meanwhile is TARGET_NOT_EMPTY and keeps what was put there', async () => {
  await using place = scratch()
  const { tar, contents } = await sample(place.path)
  fs.mkdirSync(`${place.path}/out`)
  async function* source() {
    yield* inPieces(tar, 65_536)
    fs.writeFileSync(`${place.path}/out/mine`, 'mine')
  }
  const answer = extractIntoEmpty({ source: source(), target: `${place.path}/out`, expected: contents })
  await expect(answer).rejects.toMatchObject({ code: 'TARGET_NOT_EMPTY' })
  expect(fs.readdirSync(`${place.path}/out`)).toEqual(['mine'])
  expect(fs.readdirSync(place.path).sort()).toEqual(['in', 'out'])
})

const descriptors = () => fs.readdirSync('/proc/self/fd').length

test('a source that fails after its last byte leaves the target as it was, and its error passes', async () => {
  await using place = scratch()
  const { tar, contents } = await sample(place.path)
  fs.mkdirSync(`${place.path}/out`)
  const before = look(place.path)
  const open = descriptors()
  const wrongDigest = new Error('wrong digest')
  async function* source() {
    yield* inPieces(tar, 65_536)
    throw wrongDigest
  }
  await expect(extractIntoEmpty({ source: source(), target: `${place.path}/out`, expected: contents })).rejects.toBe(
    wrongDigest,
  )
  expect(look(place.path)).toEqual(before)
  expect(descriptors()).toBe(open)
})

test('an abort in the middle of a file leaves the target as it was', async () => {
  await using place = scratch()
  const { tar, contents } = await sample(place.path)
  const before = look(place.path)
  const open = descriptors()
  const stop = new AbortController()
  const reason = new Error('cancelled')
  const answer = extractIntoEmpty({
    source: inPieces(tar, 50_000),
    target: `${place.path}/out`,
    expected: contents,
    signal: stop.signal,
    onProgress: ({ bytes }) => {
      if (bytes > 100_000) stop.abort(reason)
    },
  })
  await expect(answer).rejects.toBe(reason)
  expect(look(place.path)).toEqual(before)
  expect(descriptors()).toBe(open)
})

test.each([
  ['entries', 2],
  ['files', 2],
  ['bytes', 400_006],
  ['entries', 5],
  ['files', 4],
  ['bytes', 400_008],
] as const)('another number of %s in the manifest (%i) is ARTIFACT_CORRUPT', async (key, value) => {
  await using place = scratch()
  const { tar, contents } = await sample(place.path)
  const expected = { ...contents, [key]: value }
  const answer = extractIntoEmpty({ source: inPieces(tar, 65_536), target: `${place.path}/out`, expected })
  await expect(answer).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
  expect(fs.readdirSync(place.path)).toEqual(['in'])
})

test('a restore that can not fit is RESTORE_FAILED before the first byte', async () => {
  await using place = scratch()
  const { tar, contents } = await sample(place.path)
  const expected = { ...contents, bytes: Number.MAX_SAFE_INTEGER }
  const answer = extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected })
  await expect(answer).rejects.toThrow('bytes free')
  expect(fs.readdirSync(place.path)).toEqual(['in'])
})

test('a byte that differs in a file is found, and the file is named', async () => {
  await using place = scratch()
  const { tar, contents, entries } = await sample(place.path)
  const { offset = 0 } = entries.find(({ path }) => path === 'folder/file') ?? {}
  tar[offset + 3] = 0
  const answer = extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected: contents })
  await expect(answer).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
  await expect(answer).rejects.toThrow('"folder/file"')
  expect(fs.readdirSync(place.path)).toEqual(['in'])
})

test.each([
  ['a file system of its own', ['-t', 'tmpfs', 'none']],
  ['a bind mount of the same file system', ['--bind', 'source']],
])('a target that is the root of %s is restored into', async (_, options) => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/out`)
  fs.mkdirSync(`${place.path}/source`)
  const resolved = options.map((option) => (option === 'source' ? `${place.path}/source` : option))
  using mount = mounted(`${place.path}/out`, resolved)
  if (!mount) {
    console.log('not tested: this machine lets nobody mount')
    return
  }
  makeZoo(`${place.path}/zoo`)
  await restore(await archive(`${place.path}/zoo`), `${place.path}/out`)
  expectSameTree(look(`${place.path}/out`), look(`${place.path}/zoo`))
})

test('a file system that fills up is RESTORE_FAILED and holds nothing afterwards', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/out`)
  using mount = mounted(`${place.path}/out`, ['-t', 'tmpfs', '-o', 'size=400k', 'none'])
  if (!mount) {
    console.log('not tested: this machine lets nobody mount')
    return
  }
  fs.mkdirSync(`${place.path}/in`)
  // A byte each, but a page of 4 KiB each on the target.
  for (let index = 0; index < 200; index++) fs.writeFileSync(`${place.path}/in/${index}`, 'x')
  const archived = await archive(`${place.path}/in`)
  const answer = restore(archived, `${place.path}/out`)
  await expect(answer).rejects.toMatchObject({ code: 'RESTORE_FAILED' })
  await expect(answer).rejects.toThrow('ENOSPC')
  expect(fs.readdirSync(`${place.path}/out`)).toEqual([])
})
