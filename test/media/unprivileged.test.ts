import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import { archive, mounted, scratch } from '../support/media-archives.ts'
import { archiveAsNobody, extractAsNobody, removeAsNobody, restoreAsNobody } from '../support/media-as-nobody.ts'
import { expectSameTree, IS_ROOT, look, makeZoo, type Seen } from '../support/media-zoo.ts'

const withoutOwners = (tree: Map<string, Seen>) =>
  new Map([...tree].map(([path, seen]) => [path, { ...seen, uid: 0, gid: 0 }]))

if (!IS_ROOT) console.log('not tested: only root can become user nobody')

describe.skipIf(!IS_ROOT)('as user nobody', () => {
  test('what may not be read is listed as unreadable and the rest is archived', async () => {
    await using place = scratch()
    fs.chmodSync(place.path, 0o755)
    const root = `${place.path}/in`
    fs.mkdirSync(root)
    fs.writeFileSync(`${root}/fine`, 'x')
    fs.writeFileSync(`${root}/closed-file`, 'x', { mode: 0o000 })
    for (const folder of ['closed', 'blind']) {
      fs.mkdirSync(`${root}/${folder}`)
      fs.writeFileSync(`${root}/${folder}/inside`, 'x')
    }
    fs.chmodSync(`${root}/closed`, 0o000)
    fs.chmodSync(`${root}/blind`, 0o744)
    fs.writeFileSync(`${root}/secret-large`, Buffer.alloc(300_000), { mode: 0o000 })
    const { entries, contents, unreadable } = archiveAsNobody(root)
    const flagged = entries
      .filter(({ flag }) => flag !== undefined)
      .map(({ path, flag, reason }) => [path, flag, reason])
    expect(flagged).toEqual([
      ['blind/inside', 'unreadable', 'EACCES'],
      ['closed-file', 'unreadable', 'EACCES'],
      ['closed', 'unreadable', 'EACCES'],
      ['secret-large', 'unreadable', 'EACCES'],
    ])
    expect(unreadable).toBe(4)
    expect(contents).toMatchObject({ files: 1, unreadable: 4, skipped: 0 })
  })

  test('everything but owners comes back, and the report says so', async () => {
    await using place = scratch()
    fs.chmodSync(place.path, 0o777)
    makeZoo(`${place.path}/zoo`)
    fs.chmodSync(`${place.path}/zoo/modes/folder-555`, 0o000)
    const { warnings } = extractAsNobody(await archive(`${place.path}/zoo`), `${place.path}/out`)
    const before = withoutOwners(look(`${place.path}/zoo`))
    expectSameTree(withoutOwners(look(`${place.path}/out`)), before)
    expect(warnings).toContain(`${before.size} entries belonged to other users; only root can restore that`)
  })

  test('a folder that forbids writing comes back into a mount', async () => {
    await using place = scratch()
    fs.chmodSync(place.path, 0o755)
    fs.mkdirSync(`${place.path}/out`)
    using mount = mounted(`${place.path}/out`, ['-t', 'tmpfs', '-o', 'mode=777', 'none'])
    if (!mount) {
      console.log('not tested: this machine lets nobody mount')
      return
    }
    fs.mkdirSync(`${place.path}/in/closed`, { recursive: true })
    fs.writeFileSync(`${place.path}/in/closed/file`, 'x')
    fs.chmodSync(`${place.path}/in/closed`, 0o555)
    extractAsNobody(await archive(`${place.path}/in`), `${place.path}/out`)
    expectSameTree(withoutOwners(look(`${place.path}/out`)), withoutOwners(look(`${place.path}/in`)))
  })

  const NOBODY = 65_534

  /** A living root whose folders and files belong to nobody, one of them closed; nothing may be made beside it. */
  function makeLiving(path: string): string {
    fs.chmodSync(path, 0o755)
    const root = `${path}/root`
    for (const folder of ['closed', 'plain']) {
      fs.mkdirSync(`${root}/${folder}`, { recursive: true })
      fs.writeFileSync(`${root}/${folder}/file`, 'old')
      fs.chownSync(`${root}/${folder}`, NOBODY, NOBODY)
    }
    fs.chownSync(root, NOBODY, NOBODY)
    fs.chmodSync(`${root}/closed`, 0o555)
    return root
  }

  async function archiveOfClosed(path: string) {
    fs.mkdirSync(`${path}/in/closed`, { recursive: true })
    fs.writeFileSync(`${path}/in/closed/file`, 'new')
    fs.chmodSync(`${path}/in/closed`, 0o555)
    return archive(`${path}/in`)
  }

  test('folders that forbid writing are exchanged, from a staging inside the root where none can be made beside it', async () => {
    await using place = scratch()
    const root = makeLiving(place.path)
    const archived = await archiveOfClosed(place.path)
    expect(restoreAsNobody(archived, root)).toMatchObject({ leftovers: [] })
    expectSameTree(withoutOwners(look(root)), withoutOwners(look(`${place.path}/in`)))
  })

  test('an entry that may not be moved undoes what was moved before it, with its modes', async () => {
    await using place = scratch()
    const root = makeLiving(place.path)
    fs.mkdirSync(`${root}/theirs`)
    fs.chmodSync(`${root}/theirs`, 0o755)
    const before = look(root)
    const archived = await archiveOfClosed(place.path)
    expect(() => restoreAsNobody(archived, root)).toThrow('EACCES; everything is as it was')
    expect(look(root)).toEqual(before)
  })

  test('a tree is removed whatever its modes', async () => {
    await using place = scratch()
    fs.chmodSync(place.path, 0o777)
    fs.mkdirSync(`${place.path}/tree/closed/blind`, { recursive: true })
    fs.writeFileSync(`${place.path}/tree/closed/blind/file`, 'x')
    for (const [path, mode] of [
      ['tree/closed/blind', 0o000],
      ['tree/closed', 0o555],
      ['tree', 0o755],
    ] as const) {
      fs.chmodSync(`${place.path}/${path}`, mode)
      fs.chownSync(`${place.path}/${path}`, 65_534, 65_534)
    }
    removeAsNobody(`${place.path}/tree`)
    expect(fs.existsSync(`${place.path}/tree`)).toBe(false)
  })
})
