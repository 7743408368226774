import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { archive, scratch, untar } from '../support/media-archives.ts'
import { look } from '../support/media-zoo.ts'
import { inPieces } from '../support/streams.ts'

const fileName = fc
  .uint8Array({ minLength: 1, maxLength: 255 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x5f : byte))).toString('latin1'))
  .filter((name) => name !== '.' && name !== '..')

test('files of any names come back by stock tar and by the restore', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fileName, { minLength: 1, maxLength: 12 }), async (names) => {
      await using place = scratch()
      fs.mkdirSync(`${place.path}/in`)
      for (const name of names) {
        const path = Buffer.concat([Buffer.from(`${place.path}/in/`), Buffer.from(name, 'latin1')])
        fs.writeFileSync(path, name)
      }
      const { tar, contents } = await archive(`${place.path}/in`)
      untar(tar, `${place.path}/by-tar`)
      fs.rmSync(`${place.path}/by-tar/${contents.list_member}`)
      await extractIntoEmpty({ source: inPieces(tar), target: `${place.path}/by-coffer`, expected: contents })
      const content = (folder: string) =>
        [...look(`${place.path}/${folder}`)].map(([path, { sha256: sum }]) => [path, sum])
      expect(content('by-tar')).toEqual(content('in'))
      expect(content('by-coffer')).toEqual(content('in'))
    }),
    { numRuns: 25 },
  )
})

test('stock tar says nothing about an archive whose names are UTF-8', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/ünï`)
  fs.writeFileSync(`${place.path}/ünï/file`, 'x')
  const { tar } = await archive(place.path)
  const { stdout, stderr, status } = spawnSync('tar', ['-tf', '-'], {
    input: tar,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.split('\n')).toContain('MANIFEST')
})
