import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import { mediaRestorer } from '../../workers/restore/restore-media.ts'
import { scratch } from '../support/media-archives.ts'
import { countingStore } from '../support/counting-store.ts'
import { partOf, quietLife, type PartOptions, type StoredMedia } from '../support/media-restores.ts'
import { LONG_PATH, look, makeZoo, type Seen } from '../support/media-zoo.ts'
import { storeMedia } from '../support/stored-media.ts'

const MIB = 1024 * 1024
const restore = async (media: StoredMedia, options: PartOptions) => {
  const part = partOf(media, options)
  const report = await mediaRestorer.restore(part, await mediaRestorer.preflight(part))
  await mediaRestorer.forget(part, [part.id])
  return report
}

const write = (root: string, files: Record<string, string>) => {
  for (const [path, content] of Object.entries(files)) {
    fs.mkdirSync(`${root}/${path}`.replace(/\/[^/]*$/, ''), { recursive: true })
    fs.writeFileSync(`${root}/${path}`, content)
  }
}

/** Without what a rename in a folder changes of the folder. */
const stable = (tree: Map<string, Seen>) => {
  const entries = [...tree].map(([path, seen]) => [path, { ...seen, mtimeNs: 0n, sameAs: '' }] as const)
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function expected(old: Map<string, Seen>, fresh: Map<string, Seen>, paths: string[]): Map<string, Seen> {
  const isIn = (path: string) => paths.some((selected) => `${path}/`.startsWith(`${selected}/`))
  const isOn = (path: string) => paths.some((selected) => selected.startsWith(`${path}/`))
  const result = new Map([...old].filter(([path]) => !isIn(path)))
  for (const [path, seen] of fresh) if (isIn(path) || (isOn(path) && !result.has(path))) result.set(path, seen)
  for (const [path, seen] of result) if (seen.type === 'file') result.set(path, { ...seen, mode: seen.mode & 0o1777 })
  return result
}

test.each([
  ['a file', ['plain.jpg']],
  ['an empty folder', ['sizes/empty folder']],
  ['a folder with all that is in it', ['links', 'times']],
  ['a file whose parents are missing', ['links/below/third']],
  ['a file at the end of a path of 4,000 bytes', [LONG_PATH]],
  ['a symlink', ['links/escape.link']],
  ['a folder with names that are not UTF-8, and one of 255 bytes', ['links', 'n'.repeat(255)]],
  ['paths of which one lies in another', ['modes/', './modes/600', 'modes']],
  ['both names of a file with the first name left behind', ['links/below', 'links/second']],
  ['nearly everything', ['sizes', 'modes', 'links', 'a'.repeat(250), 'twin']],
])('%s: exactly that is replaced, and nothing else is touched', async (_, paths) => {
  await using place = scratch()
  makeZoo(`${place.path}/in`)
  const media = await storeMedia(`${place.path}/in`, place.path)
  const root = `${place.path}/root`
  write(root, { 'plain.jpg': 'old', 'other/file': 'mine', 'modes/extra': 'old', 'modes/600/now a folder': 'old' })
  const chosen = paths.map((path) => path.replace(/^\.\/|\/$/g, ''))
  const before = stable(expected(look(root), look(`${place.path}/in`), chosen))
  const { warnings } = await restore(media, { root, paths })
  expect(stable(look(root))).toEqual(before)
  expect(warnings).toEqual(chosen.includes('modes') ? ['setuid and setgid were dropped from 2 files'] : [])
  if (chosen.includes('links/second')) {
    expect(fs.statSync(`${root}/links/second`).ino).toBe(fs.statSync(`${root}/links/below/third`).ino)
  }
  expect(fs.readdirSync(place.path).sort()).toEqual(['in', 'root', 'store'])
})

test('a file that became a folder, and a folder that became a file, come back as what they were', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { 'a/x': 'file', 'a/y/z': 'in a folder' })
  const media = await storeMedia(`${place.path}/in`, place.path)
  const root = `${place.path}/root`
  write(root, { 'a/x/deep/er': 'now a folder', 'a/y': 'now a file' })
  await restore(media, { root, paths: ['a/x', 'a/y'] })
  expect(fs.readFileSync(`${root}/a/x`, 'utf8')).toBe('file')
  expect(fs.readFileSync(`${root}/a/y/z`, 'utf8')).toBe('in a folder')
})

test('paths that are not in the backup are findings, and nothing is restored', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { 'a/x': 'file' })
  fs.mkdirSync(`${place.path}/root`)
  const media = await storeMedia(`${place.path}/in`, place.path)
  const part = partOf(media, { root: `${place.path}/root`, paths: ['a/x', 'nowhere', '../outside', '/', 'a/x/y'] })
  const preflight = await mediaRestorer.preflight(part)
  expect(preflight.findings.sort()).toEqual([
    '"" is not in the backup',
    '"../outside" is not in the backup',
    '"a/x/y" is not in the backup',
    '"nowhere" is not in the backup',
  ])
  await expect(mediaRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
  expect(fs.readdirSync(`${place.path}/root`)).toEqual([])
})

describe('a symlink of the living tree on the way to a path is not followed (F28)', () => {
  test.each([['a/b'], ['a/c/d']])('%s', async (path) => {
    await using place = scratch()
    write(`${place.path}/in`, { 'a/b': 'new', 'a/c/d': 'new' })
    write(place.path, { 'outside/b': 'untouched', 'outside/c/d': 'untouched', 'root/file': 'x' })
    fs.symlinkSync(`${place.path}/outside`, `${place.path}/root/a`)
    const media = await storeMedia(`${place.path}/in`, place.path)
    const before = look(place.path)
    const part = partOf(media, { root: `${place.path}/root`, paths: [path] })
    const preflight = await mediaRestorer.preflight(part)
    expect(preflight.findings).toEqual([`"${path}" can't be put in: "a" is no folder in the target`])
    await expect(mediaRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'TARGET_INCOMPATIBLE' })
    expect(look(place.path)).toEqual(before)
  })

  test('a symlink that is itself selected is replaced, and what it led to is not touched', async () => {
    await using place = scratch()
    write(`${place.path}/in`, { 'a/b': 'new' })
    write(place.path, { 'outside/b': 'untouched', 'root/file': 'x' })
    fs.symlinkSync(`${place.path}/outside`, `${place.path}/root/a`)
    await restore(await storeMedia(`${place.path}/in`, place.path), { root: `${place.path}/root`, paths: ['a'] })
    expect(fs.readFileSync(`${place.path}/root/a/b`, 'utf8')).toBe('new')
    expect(fs.readFileSync(`${place.path}/outside/b`, 'utf8')).toBe('untouched')
  })
})

test('a 1 MB file out of a large archive reads the list and at most two frames, and says how far it is', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/in`)
  const wanted = randomBytes(MIB)
  fs.writeFileSync(`${place.path}/in/m`, wanted)
  for (const name of ['a', 'z']) fs.writeFileSync(`${place.path}/in/${name}`, randomBytes(20 * MIB))
  const media = await storeMedia(`${place.path}/in`, place.path)
  const { store, count } = countingStore(`${place.path}/store`)
  const { life, told } = quietLife()
  const report = await restore(media, { root: `${place.path}/root`, paths: ['m'], store, life })
  expect(report).toEqual({ files: 1, bytes: MIB, warnings: [] })
  expect(told).toMatchObject({ files: 1, plain_bytes: MIB, expected_bytes: MIB, allMoved: true })
  expect(fs.readFileSync(`${place.path}/root/m`).equals(wanted)).toBe(true)
  // Incompressible, so that plain and stored bytes are the same: two frames of 2 MiB, the chunks at their ends, header, table and list.
  expect(count.bytes).toBeLessThan(5 * MIB)
  expect(count.bytes).toBeGreaterThan(MIB)
})

test('what is most of an archive is read once from end to end', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { 'a/x': 'x'.repeat(5 * MIB), 'b/y': 'y'.repeat(MIB) })
  const media = await storeMedia(`${place.path}/in`, place.path)
  const { store, count } = countingStore(`${place.path}/store`)
  const part = partOf(media, { root: `${place.path}/root`, paths: ['a'], store })
  const preflight = await mediaRestorer.preflight(part)
  expect(preflight.method).toContain('while the archive is read once')
  await mediaRestorer.restore(part, preflight)
  expect(count.ranges.filter(({ start }) => start !== undefined)).toEqual([])
  expect(fs.readdirSync(`${place.path}/root`)).toEqual(['a'])
})

test('a damaged byte elsewhere in the archive does not keep a file from coming back whole', async () => {
  await using place = scratch()
  write(`${place.path}/in`, { a: 'wanted' })
  fs.writeFileSync(`${place.path}/in/z`, randomBytes(9 * MIB))
  const media = await storeMedia(`${place.path}/in`, place.path)
  const file = `${place.path}/store/${media.artifacts.find(({ kind }) => kind === 'archive')?.key ?? ''}`
  const bytes = fs.readFileSync(file)
  bytes[6 * MIB] = (bytes[6 * MIB] ?? 0) ^ 1
  fs.writeFileSync(file, bytes)
  await restore(media, { root: `${place.path}/root`, paths: ['a'] })
  expect(fs.readFileSync(`${place.path}/root/a`, 'utf8')).toBe('wanted')
  await expect(restore(media, { root: `${place.path}/root`, paths: ['z'] })).rejects.toMatchObject({
    code: 'ARTIFACT_CORRUPT',
  })
  expect(fs.readdirSync(`${place.path}/root`)).toEqual(['a'])
})

test.each([[['a']], [['a', 'z']]])(
  'an archive of another backup beside the list is ARTIFACT_CORRUPT for %s',
  async (paths) => {
    await using place = scratch()
    const stored: StoredMedia[] = []
    for (const which of ['1', '2']) {
      write(`${place.path}/in-${which}`, { a: which, z: which.repeat(5 * MIB) })
      stored.push(await storeMedia(`${place.path}/in-${which}`, `${place.path}/${which}`))
    }
    const [mine, other] = stored as [StoredMedia, StoredMedia]
    const foreign = other.artifacts.filter(({ kind }) => kind === 'archive')
    for (const { key } of foreign) fs.copyFileSync(`${place.path}/2/store/${key}`, `${place.path}/1/store/${key}`)
    const artifacts = [...mine.artifacts.filter(({ kind }) => kind !== 'archive'), ...foreign]
    write(place.path, { 'root/a': 'old' })
    const part = partOf(mine, { root: `${place.path}/root`, paths })
    const mixed = { ...part, artifacts, identities: [mine.identity, other.identity] }
    const preflight = await mediaRestorer.preflight(mixed)
    expect(preflight.findings).toEqual([])
    await expect(mediaRestorer.restore(mixed, preflight)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
    expect(fs.readdirSync(place.path).sort()).toEqual(['1', '2', 'in-1', 'in-2', 'root'])
    expect(look(`${place.path}/root`).size).toBe(1)
  },
)
