import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { expect, test } from 'vitest'
import type { FileEntry } from '../../shared/domain/file-list.ts'
import { pathOf } from '../../shared/media/file-list.ts'
import { archive, scratch, untar, type Archived } from '../support/media-archives.ts'
import { look } from '../support/media-zoo.ts'
import { sha256 } from '../support/streams.ts'

const LARGE = 4_000_000
/** More than are ever read ahead. */
const FAR = 120

/** A folder `in` with files 000 to 199, preceded by `0-large`. */
function makeTree(path: string): string {
  const root = `${path}/in`
  fs.mkdirSync(root, { recursive: true })
  for (let index = 0; index < 200; index++) fs.writeFileSync(`${root}/${name(index)}`, `content ${index}`)
  return root
}

const name = (index: number) => String(index).padStart(3, '0')
const entryOf = ({ entries }: Archived, path: string) => entries.find((entry) => pathOf(entry) === path)

/** Does something once, when the first entry was archived: what comes far behind has not been looked at. */
const atFirstEntry = (act: () => void) => ({
  onEntry: (_: FileEntry, count: number) => {
    if (count === 0) act()
  },
})

/** Does something once, when the first bytes of a large file have left. */
const atFirstChunk = (act: () => void) => ({
  onChunk: (_: Buffer, count: number) => {
    if (count === 0) act()
  },
})

test.each<[string, (file: string) => void, (content: Buffer) => void]>([
  [
    'grows',
    (file) => fs.appendFileSync(file, 'more'),
    (content) => expect(content.equals(Buffer.alloc(LARGE, 'a'))).toBe(true),
  ],
  [
    'shrinks',
    (file) => fs.truncateSync(file, 3_000_000),
    (content) => expect(content.subarray(3_000_000).every((byte) => byte === 0)).toBe(true),
  ],
  [
    'is emptied',
    (file) => fs.truncateSync(file, 0),
    (content) => expect(content.subarray(-1000).every((byte) => byte === 0)).toBe(true),
  ],
  [
    'is rewritten in place',
    (file) => fs.writeFileSync(file, Buffer.alloc(LARGE, 'b'), { flag: 'r+' }),
    (content) => expect(content.at(-1)).toBe('b'.charCodeAt(0)),
  ],
])('a file that %s while it is read keeps the size of its header and is flagged changed', async (_, act, check) => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  fs.writeFileSync(`${place.path}/in/large`, Buffer.alloc(LARGE, 'a'))
  // Two writes in one tick of the kernel's clock would leave the same time.
  fs.utimesSync(`${place.path}/in/large`, 1, 1)
  fs.writeFileSync(`${place.path}/in/next`, 'behind it')
  const archived = await archive(
    `${place.path}/in`,
    atFirstChunk(() => act(`${place.path}/in/large`)),
  )
  untar(archived.tar, `${place.path}/out`)
  const content = fs.readFileSync(`${place.path}/out/large`)
  check(content)
  expect(entryOf(archived, 'large')).toMatchObject({ flag: 'changed', size: LARGE, sha256: sha256(content) })
  expect(fs.readFileSync(`${place.path}/out/next`, 'utf8')).toBe('behind it')
  expect(archived.contents).toMatchObject({ changed: 1, files: 2, unreadable: 0 })
  expect(archived.warnings).toEqual(['"large" changed'])
})

test('a large file that is removed while it is read is whole: its bytes outlive its name', async () => {
  await using place = scratch()
  fs.writeFileSync(`${place.path}/large`, Buffer.alloc(LARGE, 'a'))
  const archived = await archive(
    place.path,
    atFirstChunk(() => fs.unlinkSync(`${place.path}/large`)),
  )
  expect(entryOf(archived, 'large')).toMatchObject({ sha256: sha256(Buffer.alloc(LARGE, 'a')) })
  expect(entryOf(archived, 'large')?.flag).toBeUndefined()
})

test('a file that vanishes before it is read is listed, not archived, and a warning', async () => {
  await using place = scratch()
  const root = makeTree(place.path)
  const gone = name(FAR)
  const archived = await archive(
    root,
    atFirstEntry(() => fs.unlinkSync(`${root}/${gone}`)),
  )
  expect(entryOf(archived, gone)).toMatchObject({ flag: 'vanished', size: 0 })
  expect(archived.contents).toMatchObject({ entries: 200, files: 199, skipped: 1, unreadable: 0 })
  expect(archived.warnings).toEqual([`"${gone}" vanished: removed meanwhile`])
  untar(archived.tar, `${place.path}/out`)
  expect(fs.existsSync(`${place.path}/out/${gone}`)).toBe(false)
})

test.each([
  [10, 'is a backup with warnings', true],
  [11, 'is MEDIA_UNREADABLE', false],
  [199, 'is MEDIA_UNREADABLE', false],
])('a tree of 200 that loses %i while it is read %s', async (lost, _, isFine) => {
  await using place = scratch()
  const root = makeTree(place.path)
  const loseThem = () => {
    for (let index = 200 - lost; index < 200; index++) fs.rmSync(`${root}/${name(index)}`)
  }
  const archived = archive(root, atFirstEntry(loseThem))
  if (isFine) expect((await archived).contents).toMatchObject({ files: 200 - lost, skipped: lost })
  else await expect(archived).rejects.toMatchObject({ code: 'MEDIA_UNREADABLE' })
})

test('a file that becomes a symlink is archived as the symlink, not as what it points to', async () => {
  await using place = scratch()
  const root = makeTree(place.path)
  fs.writeFileSync(`${place.path}/secret`, 'outside')
  const swap = () => {
    fs.unlinkSync(`${root}/${name(FAR)}`)
    fs.symlinkSync(`${place.path}/secret`, `${root}/${name(FAR)}`)
  }
  const archived = await archive(root, atFirstEntry(swap))
  expect(entryOf(archived, name(FAR))).toMatchObject({ type: 'symlink', link: `${place.path}/secret` })
  expect(archived.tar.includes('outside')).toBe(false)
})

test('a large file that becomes a symlink after it was looked at is archived as the symlink', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  for (const path of ['in/first', 'in/second']) fs.writeFileSync(`${place.path}/${path}`, Buffer.alloc(LARGE))
  fs.writeFileSync(`${place.path}/secret`, Buffer.alloc(LARGE, 'outside'))
  const swap = () => {
    fs.unlinkSync(`${place.path}/in/second`)
    fs.symlinkSync('../secret', `${place.path}/in/second`)
  }
  const archived = await archive(`${place.path}/in`, atFirstChunk(swap))
  expect(entryOf(archived, 'second')).toMatchObject({ type: 'symlink', link: '../secret' })
  expect(archived.tar.includes('outside')).toBe(false)
})

test('a file that becomes a FIFO is skipped, and one that becomes a folder has vanished', async () => {
  await using place = scratch()
  const root = makeTree(place.path)
  const swap = () => {
    fs.unlinkSync(`${root}/${name(FAR)}`)
    execFileSync('mkfifo', [`${root}/${name(FAR)}`])
    fs.unlinkSync(`${root}/${name(FAR + 1)}`)
    fs.mkdirSync(`${root}/${name(FAR + 1)}`)
  }
  const archived = await archive(root, atFirstEntry(swap))
  expect(entryOf(archived, name(FAR))).toMatchObject({ type: 'fifo', flag: 'skipped' })
  expect(entryOf(archived, name(FAR + 1))).toMatchObject({ type: 'directory', flag: 'vanished' })
})

test('a folder that becomes a symlink before it is entered is archived as the symlink', async () => {
  await using place = scratch()
  const root = makeTree(place.path)
  fs.mkdirSync(`${root}/folder`)
  fs.mkdirSync(`${place.path}/outside`)
  fs.writeFileSync(`${place.path}/outside/secret`, 'outside')
  const swap = () => {
    fs.rmdirSync(`${root}/folder`)
    fs.symlinkSync(`${place.path}/outside`, `${root}/folder`)
  }
  const archived = await archive(root, atFirstEntry(swap))
  expect(entryOf(archived, 'folder')).toMatchObject({ type: 'symlink' })
  expect(entryOf(archived, 'folder/secret')).toBeUndefined()
})

test('a folder that becomes a symlink while it is read is read on, and nothing outside the root is', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/root`)
  makeTree(`${place.path}/root`)
  makeTree(`${place.path}/outside`)
  for (let index = 0; index < 200; index++) fs.writeFileSync(`${place.path}/outside/in/${name(index)}`, 'outside')
  const swap = () => {
    fs.renameSync(`${place.path}/root/in`, `${place.path}/moved`)
    fs.symlinkSync(`${place.path}/outside/in`, `${place.path}/root/in`)
  }
  const archived = await archive(`${place.path}/root`, atFirstEntry(swap))
  expect(entryOf(archived, `in/${name(199)}`)).toMatchObject({ sha256: sha256(Buffer.from('content 199')) })
  expect(archived.contents).toMatchObject({ files: 200, skipped: 0 })
  expect(archived.tar.includes('outside')).toBe(false)
})

test('a folder that is removed before it is entered has vanished', async () => {
  await using place = scratch()
  const root = makeTree(place.path)
  fs.mkdirSync(`${root}/folder/below`, { recursive: true })
  const archived = await archive(
    root,
    atFirstEntry(() => fs.rmSync(`${root}/folder`, { recursive: true })),
  )
  expect(entryOf(archived, 'folder')).toMatchObject({ type: 'directory', flag: 'vanished' })
})

test('a tree that other processes change all the time is archived, and stock tar reads it', async () => {
  await using place = scratch()
  const root = makeTree(place.path)
  const script =
    'while :; do for i in 1 2 3; do echo $i > $0/new-$i; mv $0/new-$i $0/zz-$i; rm -f $0/zz-$i; echo x >> $0/grows; done; done'
  const churn = spawn('sh', ['-c', script, root], { stdio: ['ignore', 'pipe', 'ignore'], detached: true })
  // Closed when the last of its children has let go of it.
  const isOver = once(churn, 'close')
  try {
    for (let round = 0; round < 3; round++) {
      const { tar, contents } = await archive(root)
      untar(tar, `${place.path}/out-${round}`)
      const names = look(`${place.path}/out-${round}`)
      expect([...names.keys()].filter((path) => /^\d{3}$/.test(path))).toHaveLength(200)
      expect(contents.unreadable).toBe(0)
    }
  } finally {
    process.kill(-(churn.pid ?? NaN), 'SIGKILL')
    await isOver
  }
})

test('a second name of a file that was written to since its first was archived gets its own bytes', async () => {
  await using place = scratch()
  const root = makeTree(place.path)
  const [first, second] = [name(0), name(FAR)]
  fs.rmSync(`${root}/${second}`)
  fs.linkSync(`${root}/${first}`, `${root}/${second}`)
  const rewritten = atFirstEntry(() => fs.writeFileSync(`${root}/${second}`, 'written since'))
  const archived = await archive(root, rewritten)
  expect(entryOf(archived, first)).toMatchObject({ type: 'file', sha256: sha256(Buffer.from('content 0')) })
  expect(entryOf(archived, second)).toMatchObject({ type: 'file', sha256: sha256(Buffer.from('written since')) })
})

test('a folder above the root that became a link since it was judged is refused', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/elsewhere/root`, { recursive: true })
  fs.writeFileSync(`${place.path}/elsewhere/root/private`, 'x')
  fs.symlinkSync(`${place.path}/elsewhere`, `${place.path}/tenant`)
  await expect(archive(`${place.path}/tenant/root`)).rejects.toMatchObject({ code: 'MEDIA_ROOT_MISSING' })
})
