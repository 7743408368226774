import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { archive, scratch, untar } from '../support/media-archives.ts'
import { expectSameTree, look, makeZoo } from '../support/media-zoo.ts'
import { plantTar, repack, type PlantedMember, type Repacked } from '../support/repacks.ts'
import { inPieces } from '../support/streams.ts'

const place = scratch()
const root = `${place.path}/zoo`
beforeAll(() => makeZoo(root))
afterAll(() => place[Symbol.asyncDispose]())

const MOST = 64 * 1024 * 1024
const tarOf = (...args: string[]) => execFileSync('tar', ['-C', root, ...args], { maxBuffer: MOST })

/** The system's python, whose tarfile Divio's clients pack with. */
const pythonTar = () =>
  gunzipSync(
    execFileSync(
      'python3',
      [
        '-c',
        'import os, sys, tarfile\nwith tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz") as tar:\n  for item in os.listdir("."): tar.add(item, arcname=item)',
      ],
      { cwd: root, maxBuffer: MOST },
    ),
  )

async function restored({ tar, contents }: Repacked, name: string) {
  const target = `${place.path}/${name}`
  await extractIntoEmpty({ source: inPieces(tar, 100_000), target, expected: contents })
  return look(target)
}

/** What stock tar makes of it: GNU's format knows whole seconds only. */
function stockTree(original: Buffer): ReturnType<typeof look> {
  const folder = fs.mkdtempSync(`${place.path}/stock-`)
  untar(original, folder)
  return look(folder)
}

describe.each([
  ['GNU tar, by default', () => tarOf('-cf', '-', '.'), stockTree],
  ['GNU tar in the POSIX format', () => tarOf('--format=posix', '-cf', '-', '.'), stockTree],
  // Stock tar takes Python's 1e-09 seconds for a whole one.
  ["Python's tarfile", pythonTar, () => look(root)],
] as const)('a tar by %s', (how, make, expected) => {
  test('becomes an archive of Coffer, which restores to the tree that it was made of, by Coffer and by stock tar', async () => {
    const original = make()
    const result = await repack(original)
    const tree = expected(original)
    expectSameTree(await restored(result, how), tree)
    expect(result.entries).toHaveLength(tree.size)
    expect(result.contents).toMatchObject({ list_member: 'MANIFEST', changed: 0, skipped: 0, unreadable: 0 })
    const folder = fs.mkdtempSync(`${place.path}/repacked-`)
    untar(result.tar, folder)
    fs.rmSync(`${folder}/MANIFEST`)
    expectSameTree(look(folder), tree)
  })
})

test('a tar older than POSIX is read', async () => {
  fs.mkdirSync(`${place.path}/old/below`, { recursive: true })
  fs.writeFileSync(`${place.path}/old/below/file`, 'old')
  const tar = execFileSync('tar', ['--format=v7', '-C', `${place.path}/old`, '-cf', '-', '.'])
  const { entries } = await repack(tar)
  expect(entries.map(({ type, path }) => [type, path])).toEqual([
    ['directory', 'below'],
    ['file', 'below/file'],
  ])
})

test('the splits of its source make no difference', async () => {
  const tar = tarOf('-cf', '-', 'links')
  const whole = await repack(tar)
  for (const size of [1, 511, 512, 513]) expect((await repack(tar, size)).tar.equals(whole.tar)).toBe(true)
})

describe('an archive by Coffer that comes back', () => {
  test('gets a new list for the one that it had, and is the same but for the order of its keys', async () => {
    const made = await archive(root)
    const again = await repack(made.tar)
    expect(again.entries).toEqual(made.entries)
    expect(again.tar.equals(made.tar)).toBe(true)
    expect(again.warnings).toContain('it came with a list of its files by Coffer, which a new one replaces')
  })

  test.each([
    ['short', 'application: shop\n'],
    ['without an end of line', 'x'],
    ['long', 'no line end '.repeat(100_000)],
    ['JSON of something else', '{"path": "a"}\n'],
    ['empty', ''],
  ])("keeps a MANIFEST of the application's own, %s, and its list is MANIFEST.coffer", async (_how, content) => {
    const { entries, contents, tar } = await repack(
      plantTar([
        { path: 'MANIFEST', content },
        { path: 'z', content: 'z' },
      ]),
      1000,
    )
    expect(entries.map(({ path, size }) => [path, size])).toEqual([
      ['MANIFEST', content.length],
      ['z', 1],
    ])
    expect(contents.list_member).toBe('MANIFEST.coffer')
    await restored({ tar, contents, entries, warnings: [] }, `own-${content.length}`)
  })

  test('has a folder MANIFEST, also where only something in it is named', async () => {
    const { contents } = await repack(plantTar([{ path: 'MANIFEST/a', content: 'a' }]))
    expect(contents.list_member).toBe('MANIFEST.coffer')
  })
})

test('folders that are not in the archive are added, and those that come late are named in a warning', async () => {
  const result = await repack(
    plantTar([
      { path: './a//b/./c', content: 'c' },
      { path: 'a/d', content: 'd' },
      { path: 'a/', type: 'directory', mode: 0o700 },
    ]),
  )
  expect(result.entries.map(({ path, type, mode }) => [path, type, mode])).toEqual([
    ['a', 'directory', 0o755],
    ['a/b', 'directory', 0o755],
    ['a/b/c', 'file', 0o644],
    ['a/d', 'file', 0o644],
  ])
  expect(result.warnings).toEqual(['1 folder(s) came after what is in them: their mode and time are not kept'])
  await restored(result, 'late')
})

const HOSTILE: [string, PlantedMember[]][] = [
  ['a name with ..', [{ path: '../x', content: 'x' }]],
  ['a name with .. inside', [{ path: 'a/../../x', content: 'x' }]],
  ['an absolute name', [{ path: '/etc/x', content: 'x' }]],
  ['a folder ..', [{ path: '..', type: 'directory' }]],
  ['a file without a name', [{ path: './', content: 'x' }]],
  [
    'a name twice',
    [
      { path: 'a', content: '1' },
      { path: './a', content: '2' },
    ],
  ],
  [
    'a folder twice',
    [
      { path: 'a', type: 'directory' },
      { path: 'a', type: 'directory' },
    ],
  ],
  [
    'a file below a symlink',
    [
      { path: 'l', type: 'symlink', link: '/etc' },
      { path: 'l/x', content: 'x' },
    ],
  ],
  [
    'a file below a file',
    [
      { path: 'f', content: 'f' },
      { path: 'f/x', content: 'x' },
    ],
  ],
  [
    'a symlink in place of a folder',
    [
      { path: 'a', type: 'directory' },
      { path: 'a', type: 'symlink', link: '/etc' },
    ],
  ],
  ['a hard link out of the folder', [{ path: 'h', type: 'hardlink', link: '../../etc/passwd' }]],
  ['a hard link to an absolute name', [{ path: 'h', type: 'hardlink', link: '/etc/passwd' }]],
  ['a hard link to what is not there', [{ path: 'h', type: 'hardlink', link: 'nothing' }]],
  [
    'a hard link to a symlink',
    [
      { path: 'l', type: 'symlink', link: '/etc/passwd' },
      { path: 'h', type: 'hardlink', link: 'l' },
    ],
  ],
  ['a hard link to itself', [{ path: 'h', type: 'hardlink', link: 'h' }]],
  ['a symlink to nowhere', [{ path: 'l', type: 'symlink', link: '' }]],
  ['a symlink that is longer than any path', [{ path: 'l', type: 'symlink', link: 'y'.repeat(5000) }]],
  ['a name that is longer than any file system takes', [{ path: 'n'.repeat(300), content: 'x' }]],
  ['a path that is longer than any', [{ path: `${'n'.repeat(200)}/`.repeat(25) + 'n', content: 'x' }]],
  ['an owner that is no number of a user', [{ path: 'f', uid: 5_000_000_000, content: 'x' }]],
  ['an owner that chown passes over', [{ path: 'f', gid: 4_294_967_295, content: 'x' }]],
  ['nothing', []],
]

test.each(HOSTILE)('F35 %s is refused', async (_what, members) => {
  await expect(repack(plantTar(members))).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' })
})

/** Sets the type of the first member, and its checksum. */
function withType(tar: Buffer, flag: string): Buffer {
  const changed = Buffer.from(tar)
  changed.write(flag, 156, 'latin1')
  changed.fill(' ', 148, 156)
  const sum = changed.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return changed
}

test.each([
  ['a character device', '3'],
  ['a block device', '4'],
  ['a FIFO', '6'],
  ['a sparse file of GNU tar', 'S'],
  ['a part of several volumes', 'M'],
  ['an unknown type', '%'],
])('F35 %s is refused', async (_what, flag) => {
  const tar = withType(plantTar([{ path: 'a' }]), flag)
  await expect(repack(tar)).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' })
})

test('an archive that is cut at any length is refused', async () => {
  const tar = plantTar([
    { path: 'a', content: 'abc' },
    { path: 'b', type: 'directory' },
  ])
  for (let length = 0; length < tar.length - 1; length += 64)
    await expect(repack(tar.subarray(0, length)), String(length)).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' })
})

test('damage of any kind is refused as such, or makes another valid archive: never anything else', async () => {
  const tar = tarOf('-cf', '-', 'links', 'plain.jpg')
  const changes = fc.array(fc.tuple(fc.nat(tar.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(changes, async (edits) => {
      const damaged = Buffer.from(tar)
      for (const [at, byte] of edits) damaged[at] = byte
      try {
        await repack(damaged)
      } catch (error) {
        expect(error).toBeInstanceOf(CofferError)
        expect(error).toMatchObject({ code: 'ARCHIVE_INVALID' })
      }
    }),
    { numRuns: 150 },
  )
})
