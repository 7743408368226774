import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { FileEntry } from '../../shared/domain/file-list.ts'
import { BackupState, Manifest } from '../../shared/domain/manifest.ts'
import { decodeManifest, encodeManifest } from '../../shared/manifest.ts'
import { openSecrets } from '../../shared/secrets.ts'

const SECRETS = openSecrets(Buffer.alloc(32, 7).toString('base64'))

test.each([
  ['manifest', Manifest],
  ['state', BackupState],
  ['file-entry', FileEntry],
])('docs/schemas/%s.schema.json is what the code accepts', async (name, schema) => {
  const text = `${JSON.stringify(z.toJSONSchema(schema), null, 2)}\n`
  await expect(text).toMatchFileSnapshot(`../../docs/schemas/${name}.schema.json`)
})

test.each(['manifest-database.json', 'manifest-storage.json'])(
  'the golden file %s is read, and written again to the byte',
  async (name) => {
    const golden = await readFile(`test/docs/golden/${name}`, 'utf8')
    const { mac, ...unsigned } = decodeManifest(SECRETS, golden)
    expect(mac).toMatch(/^[0-9a-f]{64}$/)
    expect(encodeManifest(SECRETS, unsigned)).toBe(golden)
  },
)

test('the golden state.json and the golden file list are read', async () => {
  const state: unknown = JSON.parse(await readFile('test/docs/golden/state.json', 'utf8'))
  expect(BackupState.parse(state)).toEqual(state)
  const lines = (await readFile('test/docs/golden/MANIFEST', 'utf8')).trimEnd().split('\n')
  expect(lines).toHaveLength(7)
  for (const line of lines) {
    const entry: unknown = JSON.parse(line)
    expect(FileEntry.parse(entry)).toEqual(entry)
  }
})

test('a manifest that was altered, or signed with another secret, is refused', async () => {
  const golden = await readFile('test/docs/golden/manifest-database.json', 'utf8')
  const altered = golden.replace('"rows": 3', '"rows": 4')
  expect(altered).not.toBe(golden)
  expect(() => decodeManifest(SECRETS, altered)).toThrow("does not carry this Coffer's signature")
  const others = openSecrets(Buffer.alloc(32, 8).toString('base64'))
  expect(() => decodeManifest(others, golden)).toThrow("does not carry this Coffer's signature")
})
