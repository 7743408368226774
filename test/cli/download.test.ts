import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { downloadLine, planOutput } from '../../cli/download.ts'
import type { DownloadItem } from '../../cli/resources/transfers.ts'
import { temporaryFolder } from './support.ts'

function item(artifact: string, filename: string, change: Partial<DownloadItem> = {}): DownloadItem {
  const plain = { download_url: `/plain/${filename}`, filename, size: 10, sha256: 'a'.repeat(64) }
  const stored = {
    stored_url: `/stored/${filename}`,
    stored_filename: `${filename}.zst.age`,
    stored_size: 7,
    stored_sha256: 'b'.repeat(64),
  }
  return { uuid: filename, service_instance_backup: 's', ended_at: 'now', artifact, ...plain, ...stored, ...change }
}

const DUMP = item('dump', 'shop.dump')
const ARCHIVE = item('archive', 'shop.tar')
const LIST = item('file-list', 'shop.ndjson')
const refusal = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) as string })

describe('where a download goes', () => {
  test('is a folder that exists, for all of it, under the names of the producer', async () => {
    const cwd = await temporaryFolder()
    const plan = await planOutput([DUMP, ARCHIVE, LIST], 'plain', '.', cwd)
    expect(plan.map(({ path, link, size }) => [path, link, size])).toEqual(
      ['shop.dump', 'shop.tar', 'shop.ndjson'].map((name) => [join(cwd, name), `/plain/${name}`, 10]),
    )
  })

  test('is a folder that a slash at the end makes', async () => {
    const cwd = await temporaryFolder()
    const [plan] = await planOutput([DUMP], 'stored', 'a/b/', cwd)
    expect(plan).toMatchObject({
      path: join(cwd, 'a/b/shop.dump.zst.age'),
      link: '/stored/shop.dump',
      size: 7,
      sha256: 'b'.repeat(64),
    })
    expect(await readdir(join(cwd, 'a'))).toEqual(['b'])
  })

  test('is a file or stdout for one dump or archive, without its list of files', async () => {
    const cwd = await temporaryFolder()
    expect((await planOutput([ARCHIVE, LIST], 'plain', 'my.tar', cwd)).map(({ path }) => path)).toEqual([
      join(cwd, 'my.tar'),
    ])
    expect((await planOutput([LIST, DUMP], 'plain', '-', cwd)).map(({ path, name }) => [path, name])).toEqual([
      [null, 'shop.dump'],
    ])
  })

  test.each(['one.file', '-'])('cannot be %s for several', async (output) => {
    const planned = planOutput([DUMP, ARCHIVE], 'plain', output, await temporaryFolder())
    await expect(planned).rejects.toMatchObject(refusal('USAGE_INVALID', /takes one, and there are 2/))
  })

  test.each(['.', 'shop.tar'])('is never a file that exists (--output %s)', async (output) => {
    const cwd = await temporaryFolder()
    await writeFile(join(cwd, 'shop.tar'), 'mine')
    await expect(planOutput([ARCHIVE], 'plain', output, cwd)).rejects.toMatchObject(
      refusal('OUTPUT_EXISTS', /shop\.tar exists/),
    )
  })

  test.each(['../evil', '/etc/passwd', 'a/b', 'a\\b', '..', '.', '', 'a\nb', '.bashrc'])(
    'is not chosen by a producer that names a file %j',
    async (name) => {
      const planned = planOutput([item('dump', name)], 'plain', '.', await temporaryFolder())
      await expect(planned).rejects.toMatchObject(refusal('ANSWER_INVALID', /no plain file name/))
    },
  )

  test('is not one file for two artifacts', async () => {
    const planned = planOutput([DUMP, item('archive', 'shop.dump')], 'plain', '.', await temporaryFolder())
    await expect(planned).rejects.toMatchObject(refusal('ANSWER_INVALID', /names two files shop\.dump/))
  })
})

test('without a key at the producer the plain form is refused with the way out, and the stored form is planned', async () => {
  const [cwd, locked] = [await temporaryFolder(), item('dump', 'shop.dump', { download_url: null })]
  await expect(planOutput([locked], 'plain', '.', cwd)).rejects.toMatchObject(
    refusal('KEY_MISSING', /fetch it with --stored/),
  )
  expect(await planOutput([locked], 'stored', '.', cwd)).toHaveLength(1)
})

test.each([
  [0, 0, null, '0 of 0 B  x'],
  [512, 1024, 256, '[####----] 50 %  512 B of 1.0 KiB  256 B/s  x'],
  [2048, 1024, null, '[########] 100 %  2.0 of 1.0 KiB  x'],
])('%d of %d bytes are shown', (bytes, size, rate, line) => {
  expect(downloadLine('x', bytes, size, rate)).toBe(line)
})
