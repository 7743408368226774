import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findProducer } from '../../cli/address.ts'
import { temporaryFolder } from './support.ts'

async function checkoutWith(files: Record<string, string>): Promise<string> {
  const checkout = await temporaryFolder()
  await mkdir(join(checkout, '.coffer'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(checkout, '.coffer', name), text)
  return checkout
}

const LOCAL = { 'run.json': '{"url":"http://127.0.0.1:8200"}', 'admin-token': 'local-token\n' }
const wrong = (code: string, message: RegExp): Error =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error

describe('the address', () => {
  test('is COFFER_URL and COFFER_TOKEN where they are set, whatever runs here', async () => {
    const checkout = await checkoutWith(LOCAL)
    const env = { COFFER_URL: 'https://coffer.example/base', COFFER_TOKEN: 'given' }
    const found = findProducer({ env, checkout, cwd: checkout })
    expect(found).toEqual({
      url: new URL('https://coffer.example/base/'),
      urlFrom: 'COFFER_URL',
      token: 'given',
      tokenFrom: 'COFFER_TOKEN',
    })
  })

  test('is that of the local up, with its token, where nothing is set', async () => {
    const checkout = await checkoutWith(LOCAL)
    expect(findProducer({ env: {}, checkout, cwd: '/' })).toEqual({
      url: new URL('http://127.0.0.1:8200/'),
      urlFrom: join(checkout, '.coffer/run.json'),
      token: 'local-token',
      tokenFrom: join(checkout, '.coffer/admin-token'),
    })
  })

  test('is found in the folder where the command is called, and in COFFER_DATA_DIR before both', async () => {
    const [checkout, cwd, empty] = [await checkoutWith(LOCAL), await checkoutWith(LOCAL), await temporaryFolder()]
    expect(findProducer({ env: {}, checkout: empty, cwd }).urlFrom).toBe(join(cwd, '.coffer/run.json'))
    const dataDir = join(checkout, '.coffer')
    expect(findProducer({ env: { COFFER_DATA_DIR: dataDir }, checkout: empty, cwd }).urlFrom).toBe(
      join(dataDir, 'run.json'),
    )
  })

  test.each(['{}', '{"url":null}', '[]', 'null'])('is unknown while run.json says only %s', async (text) => {
    const checkout = await checkoutWith({ 'run.json': text })
    expect(() => findProducer({ env: {}, checkout, cwd: checkout })).toThrow(
      wrong('PRODUCER_UNREACHABLE', /COFFER_URL is not set and .*run\.json/),
    )
  })

  test('is wrong where run.json is not JSON, or COFFER_URL is no http address or carries a password', async () => {
    const checkout = await checkoutWith({ 'run.json': '{"url":' })
    expect(() => findProducer({ env: {}, checkout, cwd: checkout })).toThrow(
      wrong('CONFIG_INVALID', /run\.json is not JSON/),
    )
    for (const COFFER_URL of ['localhost:8200', 'ftp://host/', 'https://me:secret@host/']) {
      const call = () => findProducer({ env: { COFFER_URL, COFFER_TOKEN: 't' }, checkout, cwd: checkout })
      expect(call).toThrow(wrong('CONFIG_INVALID', /^COFFER_URL (?!.*secret)/))
    }
  })
})

describe('the token', () => {
  test('of the local up is not sent to another address', async () => {
    const checkout = await checkoutWith(LOCAL)
    const call = () => findProducer({ env: { COFFER_URL: 'http://127.0.0.1:8201' }, checkout, cwd: checkout })
    expect(call).toThrow(wrong('CONFIG_INVALID', /COFFER_TOKEN is not set/))
  })

  test('of the local up is used where COFFER_URL says the same address', async () => {
    const checkout = await checkoutWith(LOCAL)
    expect(findProducer({ env: { COFFER_URL: 'http://127.0.0.1:8200/' }, checkout, cwd: checkout }).token).toBe(
      'local-token',
    )
  })

  test.each(['', ' \n', 'two words', 'line\nbreak', 'zürich'])(
    '%j is refused before it gets into a header',
    async (text) => {
      const checkout = await checkoutWith({ ...LOCAL, 'admin-token': text })
      expect(() => findProducer({ env: {}, checkout, cwd: checkout })).toThrow(
        wrong('CONFIG_INVALID', /admin-token holds no token/),
      )
    },
  )

  test('that is missing is named by its file', async () => {
    const checkout = await checkoutWith({ 'run.json': LOCAL['run.json'] })
    expect(() => findProducer({ env: {}, checkout, cwd: checkout })).toThrow(
      wrong('CONFIG_INVALID', /admin-token does not exist/),
    )
  })
})
