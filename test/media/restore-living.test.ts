import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import { naming } from '../../shared/media/extract.ts'
import { restoreTree } from '../../shared/media/restore-tree.ts'
import { stageArchive } from '../../shared/media/stage-archive.ts'
import { mediaRestorer } from '../../workers/restore/restore-media.ts'
import { archive, mounted, scratch } from '../support/media-archives.ts'
import { partOf, quietLife, type PartOptions, type StoredMedia } from '../support/media-restores.ts'
import { expectSameTree, IS_ROOT, look, makeZoo } from '../support/media-zoo.ts'
import { plant } from '../support/planted-archives.ts'
import { ATTACKS } from '../support/planted-attacks.ts'
import { storeMedia } from '../support/stored-media.ts'
import { inPieces } from '../support/streams.ts'

const restore = async (media: StoredMedia, options: PartOptions) => {
  const part = partOf(media, options)
  const report = await mediaRestorer.restore(part, await mediaRestorer.preflight(part))
  await mediaRestorer.forget(part, [part.id])
  return report
}
const preflight = (media: StoredMedia, options: PartOptions) => mediaRestorer.preflight(partOf(media, options))

const write = (root: string, files: Record<string, string>) => {
  for (const [path, content] of Object.entries(files)) {
    fs.mkdirSync(`${root}/${path}`.replace(/\/[^/]*$/, ''), { recursive: true })
    fs.writeFileSync(`${root}/${path}`, content)
  }
}

test('over a living tree of every kind, everything is as in the archive afterwards, and nothing else is there', async () => {
  await using place = scratch()
  makeZoo(`${place.path}/in`)
  const media = await storeMedia(`${place.path}/in`, place.path)
  const root = `${place.path}/parent/root`
  makeZoo(root)
  fs.rmSync(`${root}/links`, { recursive: true })
  fs.symlinkSync('/etc', `${root}/links`)
  fs.rmSync(`${root}/plain.jpg`)
  write(root, { 'plain.jpg/now/a/folder': 'x', 'not in the archive/file': 'x', 'sizes/more': 'x' })
  fs.chmodSync(`${root}/twin`, 0o000)
  const inode = fs.statSync(root).ino
  const held = fs.openSync(root, 'r')
  const { life, told } = quietLife()
  const report = await restore(media, { root, life })
  expectSameTree(look(root), look(`${place.path}/in`))
  expect(report).toEqual({
    files: media.contents.files,
    bytes: media.contents.bytes,
    warnings: ['setuid and setgid were dropped from 2 files'],
  })
  expect(told).toMatchObject({ allMoved: true, files: media.contents.files })
  expect(fs.statSync(root).ino).toBe(inode)
  // Who holds the folder open, a bind mount for example, sees the new content.
  expect(fs.readdirSync(`/proc/self/fd/${held}`).sort()).toEqual(fs.readdirSync(`${place.path}/in`).sort())
  fs.closeSync(held)
  expect(fs.readdirSync(`${place.path}/parent`)).toEqual(['root'])
})

test('a preflight names the method and what will be left out, and changes nothing', async () => {
  await using place = scratch()
  makeZoo(`${place.path}/in`)
  const media = await storeMedia(`${place.path}/in`, place.path)
  write(place.path, { 'root/file': 'x' })
  const before = look(place.path)
  const found = await preflight(media, { root: `${place.path}/root` })
  expect(found).toMatchObject({
    isEmpty: false,
    findings: [],
    leftOut: ['setuid and setgid were dropped from 2 files'],
  })
  expect(look(place.path)).toEqual(before)
  expect(await preflight(media, { root: `${place.path}/none/yet` })).toMatchObject({ isEmpty: true, findings: [] })
})

test('a backup of an empty folder empties the living one, and keeps its mode and owner', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  const media = await storeMedia(`${place.path}/in`, place.path)
  const root = `${place.path}/root`
  write(root, { 'a/b': 'x', c: 'x' })
  fs.chmodSync(root, 0o2770)
  await restore(media, { root })
  expect(fs.readdirSync(root)).toEqual([])
  expect(fs.statSync(root).mode & 0o7777).toBe(0o2770)
})

test('a root with the longest name a folder can have is restored', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { file: 'new' })
  const media = await storeMedia(`${place.path}/in`, place.path)
  const root = `${place.path}/${'r'.repeat(255)}`
  write(root, { file: 'old' })
  await restore(media, { root })
  expect(fs.readFileSync(`${root}/file`, 'utf8')).toBe('new')
})

function flipped(good: Buffer): Buffer {
  const bad = Buffer.from(good)
  const middle = bad.length >> 1
  bad[middle] = (bad[middle] ?? 0) ^ 1
  return bad
}

describe('a damaged artifact over a living tree leaves it as it was (F38)', () => {
  const spoils: [string, (good: Buffer) => Buffer][] = [
    ['a flipped byte', flipped],
    ['a cut end', (good) => good.subarray(0, -100)],
    ['something behind it', (good) => Buffer.concat([good, Buffer.from('x')])],
  ]
  const reads: [kind: string, paths: string[]][] = [
    ['archive', []],
    ['archive', ['folder/small']],
    ['archive', ['folder', 'large']],
    ['file-list', ['folder/small']],
  ]
  const cases = reads.flatMap(([kind, paths]) => spoils.map(([what, spoil]) => ({ kind, paths, what, spoil })))
  test.each(cases)('$what in the $kind, of $paths', async ({ kind, paths, spoil }) => {
    await using place = scratch()
    write(`${place.path}/in`, { 'folder/small': 'new' })
    fs.writeFileSync(`${place.path}/in/large`, Buffer.alloc(6_000_000, 'x'))
    const media = await storeMedia(`${place.path}/in`, place.path)
    const root = `${place.path}/parent/root`
    write(root, { 'folder/small': 'old', other: 'old' })
    const record = media.artifacts.find((artifact) => artifact.kind === kind)
    const file = `${place.path}/store/${record?.key ?? ''}`
    fs.writeFileSync(file, spoil(fs.readFileSync(file)))
    const before = look(`${place.path}/parent`)
    const part = partOf(media, { root, paths })
    await expect(
      mediaRestorer.restore(part, { isEmpty: false, keepsOldState: false, method: '', findings: [], leftOut: [] }),
    ).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
    expect(look(`${place.path}/parent`)).toEqual(before)
  })
})

test.each(ATTACKS)(
  'a hostile archive, %s, touches neither the living tree nor what is outside (F35)',
  async (_, attack) => {
    await using place = scratch()
    write(place.path, { 'outside/canary': 'untouched', 'root/a/canary': 'mine', 'root/link': 'mine' })
    fs.symlinkSync(`${place.path}/outside`, `${place.path}/root/b`)
    const { tar, contents } = plant(attack(`${place.path}/outside`))
    const before = look(place.path)
    const root = `${place.path}/root`
    const answer = naming(root, () =>
      restoreTree({
        root,
        id: randomUUID(),
        paths: null,
        neededBytes: 0,
        stage: (staging) => stageArchive(staging, { source: inPieces(tar), expected: contents }),
      }),
    )
    await expect(answer).rejects.toMatchObject({
      code: expect.stringMatching(/^(ARTIFACT_CORRUPT|RESTORE_FAILED)$/) as string,
    })
    expect(look(place.path)).toEqual(before)
  },
)

test('what may not be restored into is told all at once: policy, key, missing archive', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { file: 'x' })
  const media = await storeMedia(`${place.path}/in`, place.path)
  const part = partOf(media, { root: `${place.path}/store` })
  const { findings } = await mediaRestorer.preflight({ ...part, identities: [] })
  expect(findings).toEqual([
    expect.stringContaining('lies under') as string,
    expect.stringContaining('no identity was given') as string,
  ])
  fs.rmSync(`${place.path}/store/${media.artifacts[0]?.key ?? ''}`)
  write(place.path, { plain: 'x' })
  expect((await preflight(media, { root: `${place.path}/plain` })).findings).toEqual([
    expect.stringContaining('there is no object') as string,
    expect.stringContaining('is not a folder') as string,
  ])
})

describe('with file systems of its own', () => {
  /** Null where this machine lets nobody mount. */
  const tmpfs = (path: string, options = 'size=50m') => {
    fs.mkdirSync(path, { recursive: true })
    const mount = mounted(path, ['-t', 'tmpfs', '-o', options, 'none'])
    if (!mount) console.log('not tested: this machine lets nobody mount')
    return mount
  }

  test('a disk that fills up while it is staged leaves the old tree (F33)', async () => {
    await using place = scratch()
    const root = `${place.path}/root`
    using mount = tmpfs(root, 'size=600k')
    if (!mount) return
    write(root, { 'old/file': 'old' })
    // A byte each, but a page of 4 KiB each on the target.
    for (let index = 0; index < 200; index++) write(`${place.path}/in`, { [String(index)]: 'x' })
    const media = await storeMedia(`${place.path}/in`, place.path)
    const before = look(root)
    expect((await preflight(media, { root })).findings).toEqual([])
    await expect(restore(media, { root })).rejects.toThrow('ENOSPC')
    expect(look(root)).toEqual(before)
  })

  test('a disk that is too small for the new beside the old is a finding', async () => {
    await using place = scratch()
    const root = `${place.path}/root`
    using mount = tmpfs(root, 'size=600k')
    if (!mount) return
    write(`${place.path}/in`, { file: 'x'.repeat(700_000) })
    const media = await storeMedia(`${place.path}/in`, place.path)
    expect((await preflight(media, { root })).findings).toEqual([expect.stringContaining('bytes free') as string])
  })

  test('a mount in the tree is a finding, keeps a restore from beginning, and does not hinder one elsewhere', async () => {
    await using place = scratch()
    write(`${place.path}/in`, { 'a/file': 'new', b: 'new' })
    const media = await storeMedia(`${place.path}/in`, place.path)
    const root = `${place.path}/root`
    write(root, { 'a/file': 'old', b: 'old' })
    using mount = tmpfs(`${root}/a/mounted`)
    if (!mount) return
    write(`${root}/a/mounted`, { precious: 'x' })
    const before = look(root)
    for (const paths of [[], ['a'], ['a/file', 'a']]) {
      expect((await preflight(media, { root, paths })).findings).toEqual([
        expect.stringContaining('"a/mounted"') as string,
      ])
      await expect(restore(media, { root, paths })).rejects.toMatchObject({ code: 'TARGET_INCOMPATIBLE' })
    }
    expect(look(root)).toEqual(before)
    await restore(media, { root, paths: ['a/file', 'b'] })
    expect([fs.readFileSync(`${root}/a/file`, 'utf8'), fs.readFileSync(`${root}/b`, 'utf8')]).toEqual(['new', 'new'])
    expect(fs.readFileSync(`${root}/a/mounted/precious`, 'utf8')).toBe('x')
  })
})

test('what a killed restore left inside a root is listed as skipped by the next backup, and not archived', async () => {
  await using place = scratch()
  const name = `.coffer-restore-${randomUUID()}`
  write(place.path, { [`in/folder/${name}/tree/file`]: 'x', 'in/.coffer-restore-mine/file': 'x', 'in/file': 'x' })
  const { entries, contents, warnings } = await archive(`${place.path}/in`)
  expect(entries.map(({ path }) => path)).not.toContain(`folder/${name}/tree`)
  expect(entries.find(({ path }) => path === `folder/${name}`)).toMatchObject({
    type: 'directory',
    flag: 'skipped',
    reason: 'it is what a restore had staged here, no content',
  })
  expect(contents).toMatchObject({ files: 2, skipped: 1 })
  expect(warnings).toHaveLength(1)
})

test('nothing is kept to undo: the way back is the safety backup', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { file: 'x' })
  const part = partOf(await storeMedia(`${place.path}/in`, place.path), { root: `${place.path}/in` })
  await expect(mediaRestorer.undo(part)).rejects.toMatchObject({ code: 'CONFLICT' })
  await expect(mediaRestorer.undo(part)).rejects.toThrow('safety backup')
  await mediaRestorer.confirm(part)
})

test.skipIf(!IS_ROOT)('owners come back', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { file: 'x' })
  fs.chownSync(`${place.path}/in/file`, 1234, 5678)
  const media = await storeMedia(`${place.path}/in`, place.path)
  write(`${place.path}/root`, { file: 'old' })
  await restore(media, { root: `${place.path}/root` })
  expect(fs.statSync(`${place.path}/root/file`)).toMatchObject({ uid: 1234, gid: 5678 })
})
