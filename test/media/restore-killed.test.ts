import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mediaRestorer } from '../../workers/restore/restore-media.ts'
import { mounted, scratch } from '../support/media-archives.ts'
import { restoreInChild, type ChildRestore } from '../support/media-restore-child.ts'
import { partOf, type StoredMedia } from '../support/media-restores.ts'
import { expectSameTree, look, type Seen } from '../support/media-zoo.ts'
import { storeMedia } from '../support/stored-media.ts'

const place = scratch()
fs.mkdirSync(`${place.path}/trial`)
const CAN_MOUNT = (() => {
  using mount = mounted(`${place.path}/trial`, ['-t', 'tmpfs', 'none'])
  return mount !== null
})()
if (!CAN_MOUNT) console.log('not tested: this machine lets nobody mount')

let media: StoredMedia
let fresh: Map<string, Seen>

beforeAll(async () => {
  const source = `${place.path}/source`
  fs.mkdirSync(`${source}/kept/below`, { recursive: true })
  fs.writeFileSync(`${source}/kept/below/file`, 'new')
  fs.writeFileSync(`${source}/turned`, 'a file now')
  fs.mkdirSync(`${source}/was file`)
  fs.writeFileSync(`${source}/was file/inside`, 'x')
  fs.symlinkSync('kept', `${source}/added`)
  media = await storeMedia(source, place.path)
  fresh = look(source)
})
afterAll(() => place[Symbol.asyncDispose]())

/** A living tree that shares some names with the backup. */
function makeOld(root: string): Map<string, Seen> {
  fs.mkdirSync(`${root}/kept/below`, { recursive: true })
  fs.writeFileSync(`${root}/kept/below/file`, 'old')
  fs.writeFileSync(`${root}/kept/other`, 'old')
  fs.mkdirSync(`${root}/turned/deep`, { recursive: true })
  fs.writeFileSync(`${root}/turned/deep/file`, 'old')
  fs.writeFileSync(`${root}/was file`, 'old')
  fs.mkdirSync(`${root}/gone`)
  fs.writeFileSync(`${root}/gone/file`, 'old')
  return look(root)
}

interface Rig {
  root: string
  /** Of the folder that the staging lies in. */
  names: () => string[]
  old: Map<string, Seen>
  expected: Map<string, Seen>
  paths: string[]
}

async function withRig(kind: string, act: (rig: Rig) => Promise<void> | void): Promise<void> {
  const parent = fs.mkdtempSync(`${place.path}/rig-`)
  const root = `${parent}/root`
  fs.mkdirSync(root)
  using mount = kind === 'a mount point' ? mounted(root, ['-t', 'tmpfs', 'none']) : null
  const old = makeOld(root)
  const partly = kind === 'two paths of a folder'
  const expected = partly ? new Map(old) : fresh
  if (partly) for (const path of ['turned', 'kept/below/file']) expected.set(path, fresh.get(path) as Seen)
  if (partly) for (const path of ['turned/deep', 'turned/deep/file']) expected.delete(path)
  const inside = mount !== null
  const names = () => fs.readdirSync(inside ? root : parent).filter((name) => name.startsWith('.coffer'))
  await act({ root, names, old, expected, paths: partly ? ['turned', 'kept/below/file'] : [] })
}

const COMMITTED = 'media-journal-committed'

/** The folders that a partial restore leaves alone have other times, since entries of them were exchanged. */
function expectNew({ root, expected, paths }: Rig): void {
  const timeless = (tree: Map<string, Seen>) =>
    new Map([...tree].map(([path, seen]) => [path, paths.length > 0 ? { ...seen, mtimeNs: 0n } : seen]))
  expectSameTree(timeless(look(root)), timeless(expected))
}

async function expectRecovered(rig: Rig, id: string, isNew: boolean): Promise<void> {
  const { root, names, old, paths } = rig
  const { ino } = fs.statSync(root)
  const part = partOf(media, { root, paths, id })
  // It answers the same until the answer is on record.
  for (let crash = 0; crash < 2; crash++)
    expect(await mediaRestorer.recover(part)).toBe(isNew ? 'restored' : 'as-before')
  await mediaRestorer.forget(part, [randomUUID(), id])
  if (isNew) expectNew(rig)
  else expect(look(root)).toEqual(old)
  expect(fs.statSync(root).ino).toBe(ino)
  expect(names()).toEqual([])
  expect(await mediaRestorer.recover(part)).toBe('as-before')
}

const run = ({ root, paths }: Rig, options: Partial<ChildRestore>) =>
  restoreInChild({ verb: 'restore', media, root, paths, id: '', ...options })

const KINDS = ['a whole folder', ...(CAN_MOUNT ? ['a mount point'] : []), 'two paths of a folder']

describe.each(KINDS)('SIGKILL while %s is restored (F37)', (kind) => {
  /** Those of a restore that nobody disturbs. */
  let steps: string[] = []
  beforeAll(() =>
    withRig(kind, (rig) => {
      const whole = run(rig, { id: randomUUID() })
      steps = whole.steps
      expect(whole.output).not.toContain('Error')
      expect(steps).toEqual(expect.arrayContaining([COMMITTED, 'media-old-aside', 'media-new-in', 'media-rolled']))
      expectNew(rig)
      expect(rig.names()).toEqual([])
    }),
  )

  test('at any step leaves the old or the new, whole, after the next start', async () => {
    const committed = steps.indexOf(COMMITTED)
    // Before the commit all kinds are alike.
    for (let killAt = kind === 'a whole folder' ? 1 : committed; killAt <= steps.length; killAt++) {
      await withRig(kind, async (rig) => {
        const id = randomUUID()
        expect(run(rig, { id, killAt })).toMatchObject({ wasKilled: true, steps: steps.slice(0, killAt) })
        await expectRecovered(rig, id, killAt > committed)
      })
    }
  })

  test('at every step of every recovery in turn still ends in the new, whole', async () => {
    await withRig(kind, (rig) => {
      const id = randomUUID()
      expect(run(rig, { id, killAt: steps.indexOf(COMMITTED) + 1 }).steps.at(-1)).toBe(COMMITTED)
      let recoveries = 0
      while (recoveries < 40 && run(rig, { verb: 'recover', id, killAt: 1 }).wasKilled) recoveries++
      expect(recoveries).toBeGreaterThan(4)
      expect(recoveries).toBeLessThan(40)
      expectNew(rig)
      expect(rig.names()).toEqual([])
    })
  })
})

test.skipIf(!CAN_MOUNT)(
  'SIGKILL at any step of undoing what could not be moved in leaves the old or the new, whole (F37)',
  async () => {
    const hinder = (rig: Rig, options: Partial<ChildRestore>) => run(rig, { mountOn: `${rig.root}/turned`, ...options })
    let steps: string[] = []
    await withRig('a whole folder', (rig) => {
      const failed = hinder(rig, { id: randomUUID() })
      spawnSync('umount', [`${rig.root}/turned`])
      steps = failed.steps
      expect(failed.output).toContain('EBUSY; everything is as it was')
      expect(look(rig.root)).toEqual(rig.old)
      expect(rig.names()).toEqual([])
    })
    const first = steps.indexOf('media-new-out')
    expect(steps.slice(first)).toEqual(expect.arrayContaining(['media-old-back', 'media-undone']))
    for (let killAt = first + 1; killAt <= steps.length; killAt++) {
      await withRig('a whole folder', async (rig) => {
        const id = randomUUID()
        expect(hinder(rig, { id, killAt }).wasKilled).toBe(true)
        spawnSync('umount', [`${rig.root}/turned`])
        await expectRecovered(rig, id, killAt - 1 < steps.indexOf('media-undone'))
      })
    }
  },
)
