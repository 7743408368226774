import fs from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { encodeHeader, END_OF_ARCHIVE } from '../../shared/media/pax-encoder.ts'
import { scratch } from '../support/media-archives.ts'
import { look } from '../support/media-zoo.ts'
import { headerOf, plant, type Planted } from '../support/planted-archives.ts'
import { ATTACKS } from '../support/planted-attacks.ts'
import { inPieces } from '../support/streams.ts'

/** A folder with a canary beside the target; the attack's paths name it by `OUTSIDE`. */
function makePlace() {
  const place = scratch()
  fs.mkdirSync(`${place.path}/outside`)
  fs.writeFileSync(`${place.path}/outside/canary`, 'untouched')
  fs.mkdirSync(`${place.path}/out`)
  return place
}

test.each(ATTACKS)('%s restores nothing and touches nothing outside', async (_, attack) => {
  await using place = makePlace()
  const { tar, contents } = plant(attack(`${place.path}/outside`))
  const before = look(place.path)
  const answer = extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected: contents })
  await expect(answer).rejects.toThrow(
    expect.objectContaining({ code: expect.stringMatching(/^(ARTIFACT_CORRUPT|RESTORE_FAILED)$/) as string }),
  )
  expect(look(place.path)).toEqual(before)
})

const A: Planted = { path: 'a', type: 'directory' }

test.each<[string, Planted[], string]>([
  ['lacks a listed member', [A, { ...A, path: 'b', only: 'list' }], '"b" is in its list and not in the archive'],
  [
    'has a member that is not listed',
    [A, { ...A, path: 'b', only: 'members' }, { ...A, path: 'c', only: 'skipped' }],
    '"b" is in the archive and not in its list',
  ],
])('an archive that %s is ARTIFACT_CORRUPT', async (_, planted, message) => {
  await using place = makePlace()
  const { tar, contents } = plant(planted)
  const answer = extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected: contents })
  await expect(answer).rejects.toThrow(message)
  await expect(answer).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
})

test('an archive without a list is ARTIFACT_CORRUPT, also when nothing is expected in it', async () => {
  await using place = makePlace()
  const { contents } = plant([])
  const answer = extractIntoEmpty({ source: inPieces(END_OF_ARCHIVE), target: `${place.path}/out`, expected: contents })
  await expect(answer).rejects.toThrow('not the file list')
})

test('an archive that is planted but harmless is restored: the attacks above fail for what they do', async () => {
  await using place = makePlace()
  const { tar, contents } = plant([
    { path: 'a', type: 'directory' },
    { path: 'a/b', content: 'x' },
    { path: 'link', type: 'symlink', link: `${place.path}/outside` },
    { path: 'linked', type: 'hardlink', link: 'a/b' },
  ])
  const report = await extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected: contents })
  expect(report).toEqual({ files: 2, bytes: 1, warnings: [] })
  expect(fs.readdirSync(`${place.path}/out`)).toEqual(['a', 'link', 'linked'])
})

test('a setuid program loses what makes it one, and the report says so', async () => {
  await using place = makePlace()
  const { tar, contents } = plant([{ path: 'program', content: '#!', mode: 0o6755 }])
  const { warnings } = await extractIntoEmpty({
    source: inPieces(tar),
    target: `${place.path}/out`,
    expected: contents,
  })
  expect(fs.statSync(`${place.path}/out/program`).mode & 0o7777).toBe(0o755)
  expect(warnings).toEqual(['setuid and setgid were dropped from 1 files'])
})

test.each([
  ['character device', '3'],
  ['block device', '4'],
  ['FIFO', '6'],
])('a %s is ARTIFACT_CORRUPT and is not made', async (_, flag) => {
  await using place = makePlace()
  const { tar, contents } = plant([{ path: 'device' }])
  tar.write(flag, 156, 'latin1')
  tar.fill(' ', 148, 156)
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  const answer = extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected: contents })
  await expect(answer).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
  expect(fs.readdirSync(`${place.path}/out`)).toEqual([])
})

test.each<[string, Partial<MediaContents>, string]>([
  ['more entries', { entries: 1 }, 'more than the 1 entries'],
  ['more bytes', { bytes: 3 }, 'more than the 3 bytes'],
])('an archive with %s than recorded is refused before they are written', async (_, less, message) => {
  await using place = makePlace()
  const { tar, contents } = plant([
    { path: 'a', content: 'xx' },
    { path: 'b', content: 'xx' },
  ])
  const expected = { ...contents, ...less }
  const answer = extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected })
  await expect(answer).rejects.toThrow(message)
})

test('a header that claims 64 GiB is refused by the recorded size, not by the disk', async () => {
  await using place = makePlace()
  const { contents } = plant([{ path: 'a', content: 'x' }])
  const tar = Buffer.concat([encodeHeader(headerOf({ path: 'a', size: 64 * 2 ** 30 })), Buffer.alloc(1_000_000)])
  const answer = extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/out`, expected: contents })
  await expect(answer).rejects.toThrow('more than the 1 bytes')
})

test('whatever bytes of an archive are damaged, it is refused or comes back the same, and nothing else is touched', async () => {
  await using place = makePlace()
  const { tar, contents } = plant([
    { path: 'a', type: 'directory' },
    { path: 'a/b', content: 'xyz' },
    { path: 'link', type: 'symlink', link: '../outside' },
    { path: 'linked', type: 'hardlink', link: 'a/b' },
  ])
  const before = look(place.path)
  await extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/good`, expected: contents })
  const good = look(`${place.path}/good`)
  fs.rmSync(`${place.path}/good`, { recursive: true })
  const damage = fc.array(fc.tuple(fc.nat(tar.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const damaged = Buffer.from(tar)
      for (const [at, byte] of changes) damaged[at] = byte
      const target = `${place.path}/out`
      try {
        await extractIntoEmpty({ source: inPieces(damaged), target, expected: contents })
        expect(look(target)).toEqual(good)
        fs.rmSync(target, { recursive: true })
        fs.mkdirSync(target)
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^(ARTIFACT_CORRUPT|RESTORE_FAILED)$/) as string })
      }
      expect([...look(place.path).keys()]).toEqual([...before.keys()])
    }),
    { numRuns: 150 },
  )
})
