import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { mediaRestorer } from '../../workers/restore/restore-media.ts'
import { mounted, scratch } from '../support/media-archives.ts'
import { restoreInChild } from '../support/media-restore-child.ts'
import { partOf, type StoredMedia } from '../support/media-restores.ts'
import { storeMedia } from '../support/stored-media.ts'

const place = scratch()
afterAll(() => place[Symbol.asyncDispose]())

const NAMES = ['a', 'b', 'c']
const PATHS = NAMES.map((name) => `${name}/file`)

function fill(root: string, content: string): void {
  for (const name of NAMES) {
    fs.mkdirSync(`${root}/${name}`, { recursive: true })
    fs.writeFileSync(`${root}/${name}/file`, content)
  }
}

let media: StoredMedia
beforeAll(async () => {
  fill(`${place.path}/in`, 'new')
  media = await storeMedia(`${place.path}/in`, place.path)
})

function livingTree() {
  const parent = fs.mkdtempSync(`${place.path}/parent-`)
  const root = `${parent}/root`
  fill(root, 'old')
  const id = randomUUID()
  const staging = `${parent}/.coffer-restore-${id}`
  const state = () => PATHS.map((path) => (fs.existsSync(`${root}/${path}`) ? read(`${root}/${path}`) : 'none'))
  return { parent, root, id, staging, state }
}

const read = (path: string) => fs.readFileSync(path, 'utf8')

/** Kills a worker of its own when it has reached a step for the n-th time. */
function killedAt({ root, id }: { root: string; id: string }, paths: string[], step: string, nth: number): void {
  const copy = livingTree().root
  fs.cpSync(fs.realpathSync(root), copy, { recursive: true })
  const { steps } = restoreInChild({ verb: 'restore', media, root: copy, id, paths })
  const killAt = steps.flatMap((name, index) => (name === step ? [index + 1] : []))[nth - 1] ?? 0
  expect(restoreInChild({ verb: 'restore', media, root, id, paths, killAt }).wasKilled).toBe(true)
}

/** What the application does at that very moment. */
function at(step: string, act: () => void): void {
  const listen = (message: unknown) => {
    if ((message as { step: string }).step === step) act()
  }
  subscribe('coffer:step', listen)
  onTestFinished(() => void unsubscribe('coffer:step', listen))
}

const messageOf = (answer: Promise<unknown>) => answer.then(String, (error: unknown) => (error as Error).message)

const keeps = (staging: string, path: string) =>
  `everything is as it was, but ${staging}/old keeps what could not be put back, or came up meanwhile, of 1: ${path}`

describe('a folder that the application removes after the commit', () => {
  test('does not keep the rest from being moved in where its own entry was in already', async () => {
    const tree = livingTree()
    killedAt(tree, PATHS, 'media-new-in', 2)
    expect(tree.state()).toEqual(['new', 'new', 'old'])
    fs.rmSync(`${tree.root}/a`, { recursive: true })
    const part = partOf(media, { ...tree, paths: PATHS })
    expect(await mediaRestorer.recover(part)).toBe('restored')
    expect(tree.state()).toEqual(['none', 'new', 'new'])
    await mediaRestorer.forget(part, [tree.id])
    expect(fs.readdirSync(tree.parent)).toEqual(['root'])
  })

  test('fails the restore where its entry was still to come, and all others are put back', async () => {
    const tree = livingTree()
    at('media-new-in', () => fs.rmSync(`${tree.root}/c`, { recursive: true, force: true }))
    const part = partOf(media, { ...tree, paths: PATHS })
    const message = await messageOf(mediaRestorer.restore(part, await mediaRestorer.preflight(part)))
    expect(message).toContain('the folder of "c/file" is gone; everything is as it was')
    expect(tree.state()).toEqual(['old', 'old', 'none'])
    expect(fs.readdirSync(tree.parent)).toEqual(['root'])
    expect(await mediaRestorer.recover(part)).toBe('as-before')
  })

  test('leaves in the staging what was in it, names it, and keeps it', async () => {
    const tree = livingTree()
    killedAt(tree, PATHS, 'media-old-aside', 2)
    expect(tree.state()).toEqual(['new', 'none', 'old'])
    fs.rmSync(`${tree.root}/b`, { recursive: true })
    const part = partOf(media, { ...tree, paths: PATHS })
    expect(await messageOf(mediaRestorer.recover(part))).toContain(keeps(tree.staging, '"b/file"'))
    expect(tree.state()).toEqual(['old', 'none', 'old'])
    for (let count = 0; count < 2; count++) expect(await mediaRestorer.recover(part)).toBe('as-before')
    await mediaRestorer.forget(part, [tree.id])
    expect(read(`${tree.staging}/old/1`)).toBe('old')
    expect(fs.readdirSync(tree.staging).sort()).toEqual(['old', expect.stringMatching(/^owner-/), 'undone'])
  })

  test('may be the root itself', async () => {
    const tree = livingTree()
    killedAt(tree, PATHS, 'media-old-aside', 1)
    fs.rmSync(tree.root, { recursive: true })
    const part = partOf(media, { ...tree, paths: PATHS })
    expect(await messageOf(mediaRestorer.recover(part))).toContain(keeps(tree.staging, '"a/file"'))
    expect(await mediaRestorer.recover(part)).toBe('as-before')
    expect(read(`${tree.staging}/old/0`)).toBe('old')
  })
})

describe('a name that the application takes again before everything is undone', () => {
  test.each([
    ['a file', (path: string) => fs.writeFileSync(path, 'of the application')],
    ['a folder', (path: string) => fill(path, 'of the application')],
  ])('goes back to the old entry, and what the application made is kept: %s', async (_, make) => {
    const tree = livingTree()
    killedAt(tree, PATHS, 'media-old-aside', 2)
    make(`${tree.root}/b/file`)
    const { ino } = fs.statSync(`${tree.root}/b/file`)
    fs.rmSync(`${tree.root}/a`, { recursive: true })
    fs.rmSync(`${tree.root}/c`, { recursive: true })
    const part = partOf(media, { ...tree, paths: PATHS })
    expect(await messageOf(mediaRestorer.recover(part))).toContain('of 2: "a/file", "b/file"')
    expect(tree.state()).toEqual(['none', 'old', 'none'])
    expect(await mediaRestorer.recover(part)).toBe('as-before')
    await mediaRestorer.forget(part, [tree.id])
    expect(fs.statSync(`${tree.staging}/old/1.1`).ino).toBe(ino)
  })

  test('goes back also where the archive lacks it', async () => {
    const tree = livingTree()
    for (const name of ['cache', 'last']) fs.mkdirSync(`${tree.root}/${name}`)
    fs.writeFileSync(`${tree.root}/cache/precious`, 'old')
    killedAt(tree, [], 'media-old-aside', 4)
    expect(fs.existsSync(`${tree.root}/cache`)).toBe(false)
    fs.mkdirSync(`${tree.root}/cache`)
    fs.writeFileSync(`${tree.root}/cache/made since`, 'of the application')
    const part = partOf(media, tree)
    {
      using mount = mounted(`${tree.root}/last`, ['-t', 'tmpfs', 'none'])
      if (!mount) return
      expect(await messageOf(mediaRestorer.recover(part))).toContain(keeps(tree.staging, '"cache"'))
    }
    expect(await mediaRestorer.recover(part)).toBe('as-before')
    expect(read(`${tree.root}/cache/precious`)).toBe('old')
    expect(read(`${tree.staging}/old/3.1/made since`)).toBe('of the application')
  })

  test('stays in a root that the restore had made', async () => {
    const tree = livingTree()
    fs.rmSync(tree.root, { recursive: true })
    const part = partOf(media, tree)
    const preflight = await mediaRestorer.preflight(part)
    at('media-new-in', () => {
      if (fs.existsSync(`${tree.root}/b`)) return
      fs.mkdirSync(`${tree.root}/b`)
      mounted(`${tree.root}/b`, ['-t', 'tmpfs', 'none'])
    })
    const message = await messageOf(mediaRestorer.restore(part, preflight))
    if (spawnSync('umount', [`${tree.root}/b`]).status !== 0) return
    expect(message).toContain('EBUSY; everything is as it was')
    expect(fs.readdirSync(tree.root)).toEqual(['b'])
    expect(fs.readdirSync(tree.parent)).toEqual(['root'])
  })

  test('outlasts the next restore of the whole folder, also where it is kept in that', async () => {
    const tree = livingTree()
    const kept = `${tree.root}/.coffer-restore-${randomUUID()}`
    fill(`${kept}/old`, 'precious')
    const part = partOf(media, tree)
    await mediaRestorer.restore(part, await mediaRestorer.preflight(part))
    expect(tree.state()).toEqual(['new', 'new', 'new'])
    expect(read(`${kept}/old/a/file`)).toBe('precious')
  })
})

describe('a root that is another folder when a killed restore is recovered', () => {
  const states = (...trees: { state: () => string[] }[]) => trees.map(({ state }) => state().join())

  test('is left alone, and the rest goes into the folder that it is meant for', async () => {
    const [tree, other] = [livingTree(), livingTree()]
    const link = `${place.path}/link-${tree.id}`
    fs.renameSync(other.root, `${tree.parent}/other`)
    fs.symlinkSync(tree.root, link)
    killedAt({ root: link, id: tree.id }, PATHS, 'media-new-in', 2)
    fs.rmSync(link)
    fs.symlinkSync(`${tree.parent}/other`, link)
    const part = partOf(media, { root: link, id: tree.id, paths: PATHS })
    const conflict = mediaRestorer.recover(part)
    await expect(conflict).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await messageOf(conflict)).toContain(`into ${tree.root}, not into ${tree.parent}/other: let`)
    expect(states(tree)).toEqual(['new,new,old'])
    expect(PATHS.map((path) => read(`${tree.parent}/other/${path}`))).toEqual(['old', 'old', 'old'])
    fs.rmSync(link)
    fs.symlinkSync(tree.root, link)
    expect(await mediaRestorer.recover(part)).toBe('restored')
    expect(states(tree)).toEqual(['new,new,new'])
  })

  test('is noticed also where it has the same path', async () => {
    const tree = livingTree()
    killedAt(tree, PATHS, 'media-new-in', 2)
    fs.renameSync(tree.root, `${tree.parent}/away`)
    fill(tree.root, 'old')
    const part = partOf(media, { ...tree, paths: PATHS })
    await expect(mediaRestorer.recover(part)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(states(tree)).toEqual(['old,old,old'])
    fs.rmSync(tree.root, { recursive: true })
    fs.renameSync(`${tree.parent}/away`, tree.root)
    expect(await mediaRestorer.recover(part)).toBe('restored')
    expect(states(tree)).toEqual(['new,new,new'])
  })

  test('is not asked about where the journal is of an earlier version', async () => {
    const tree = livingTree()
    killedAt(tree, PATHS, 'media-new-in', 2)
    const journal = `${tree.staging}/journal`
    fs.writeFileSync(journal, read(journal).replace(/^.*\n/, '{"format":1,"makes_root":false}\n'))
    expect(await mediaRestorer.recover(partOf(media, { ...tree, paths: PATHS }))).toBe('restored')
    expect(states(tree)).toEqual(['new,new,new'])
  })
})
