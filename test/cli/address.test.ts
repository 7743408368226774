import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findProducer, type Surroundings } from '../../cli/address.ts'
import { writeLogins } from '../../cli/logins.ts'
import { temporaryFolder } from './support.ts'

const NOBODY = '/nowhere/logins.json'

const find = (given: Omit<Surroundings, 'loginsFile'> & { loginsFile?: string }) =>
  findProducer({ loginsFile: NOBODY, ...given })

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
    const found = find({ env, checkout, cwd: checkout })
    expect(found).toEqual({
      url: new URL('https://coffer.example/base/'),
      urlFrom: 'COFFER_URL',
      token: 'given',
      tokenFrom: 'COFFER_TOKEN',
    })
  })

  test('is that of the local up, with its token, where nothing is set', async () => {
    const checkout = await checkoutWith(LOCAL)
    expect(find({ env: {}, checkout, cwd: '/' })).toEqual({
      url: new URL('http://127.0.0.1:8200/'),
      urlFrom: join(checkout, '.coffer/run.json'),
      token: 'local-token',
      tokenFrom: join(checkout, '.coffer/admin-token'),
    })
  })

  test('is found in the folder where the command is called, and in COFFER_DATA_DIR before both', async () => {
    const [checkout, cwd, empty] = [await checkoutWith(LOCAL), await checkoutWith(LOCAL), await temporaryFolder()]
    expect(find({ env: {}, checkout: empty, cwd }).urlFrom).toBe(join(cwd, '.coffer/run.json'))
    const dataDir = join(checkout, '.coffer')
    expect(find({ env: { COFFER_DATA_DIR: dataDir }, checkout: empty, cwd }).urlFrom).toBe(join(dataDir, 'run.json'))
  })

  test.each(['{}', '{"url":null}', '[]', 'null'])('is unknown while run.json says only %s', async (text) => {
    const checkout = await checkoutWith({ 'run.json': text })
    expect(() => find({ env: {}, checkout, cwd: checkout })).toThrow(
      wrong('PRODUCER_UNREACHABLE', /COFFER_URL is not set, nobody has logged in, and .*run\.json/),
    )
  })

  test('is wrong where run.json is not JSON, or COFFER_URL is no http address or carries a password', async () => {
    const checkout = await checkoutWith({ 'run.json': '{"url":' })
    expect(() => find({ env: {}, checkout, cwd: checkout })).toThrow(wrong('CONFIG_INVALID', /run\.json is not JSON/))
    for (const COFFER_URL of ['localhost:8200', 'ftp://host/', 'https://me:secret@host/']) {
      const call = () => find({ env: { COFFER_URL, COFFER_TOKEN: 't' }, checkout, cwd: checkout })
      expect(call).toThrow(wrong('CONFIG_INVALID', /^COFFER_URL (?!.*secret)/))
    }
  })
})

describe('the token', () => {
  test('of the local up is not sent to another address', async () => {
    const checkout = await checkoutWith(LOCAL)
    const call = () => find({ env: { COFFER_URL: 'http://127.0.0.1:8201' }, checkout, cwd: checkout })
    expect(call).toThrow(wrong('CONFIG_INVALID', /COFFER_TOKEN is not set for it/))
  })

  test('of the local up is used where COFFER_URL says the same address', async () => {
    const checkout = await checkoutWith(LOCAL)
    expect(find({ env: { COFFER_URL: 'http://127.0.0.1:8200/' }, checkout, cwd: checkout }).token).toBe('local-token')
  })

  test.each(['', ' \n', 'two words', 'line\nbreak', 'zürich'])(
    '%j is refused before it gets into a header',
    async (text) => {
      const checkout = await checkoutWith({ ...LOCAL, 'admin-token': text })
      expect(() => find({ env: {}, checkout, cwd: checkout })).toThrow(
        wrong('CONFIG_INVALID', /admin-token holds no token/),
      )
    },
  )

  test('that is missing is named by its file', async () => {
    const checkout = await checkoutWith({ 'run.json': LOCAL['run.json'] })
    expect(() => find({ env: {}, checkout, cwd: checkout })).toThrow(
      wrong('CONFIG_INVALID', /admin-token does not exist/),
    )
  })
})

describe('COFFER_TOKEN', () => {
  const COFFER_TOKEN = 'given'

  test('goes to a local up that the user has chosen: by COFFER_DATA_DIR, or by the checkout of the command', async () => {
    const [checkout, empty] = [await checkoutWith(LOCAL), await temporaryFolder()]
    const chosen = [
      find({ env: { COFFER_TOKEN }, checkout, cwd: '/' }),
      find({ env: { COFFER_TOKEN }, checkout, cwd: checkout }),
      find({ env: { COFFER_TOKEN, COFFER_DATA_DIR: join(checkout, '.coffer') }, checkout: empty, cwd: '/' }),
    ]
    for (const found of chosen) expect(found).toMatchObject({ token: 'given', tokenFrom: 'COFFER_TOKEN' })
    for (const { remark } of chosen) expect(remark).toBeUndefined()
  })

  test('does not go to what a foreign folder names', async () => {
    const [checkout, cwd] = [await temporaryFolder(), await checkoutWith(LOCAL)]
    expect(find({ env: { COFFER_TOKEN }, checkout, cwd })).toMatchObject({
      urlFrom: join(cwd, '.coffer/run.json'),
      token: 'local-token',
      remark: expect.stringMatching(/^COFFER_TOKEN is ignored/) as string,
    })
    const bare = await checkoutWith({ 'run.json': LOCAL['run.json'] })
    expect(() => find({ env: { COFFER_TOKEN }, checkout, cwd: bare })).toThrow(wrong('CONFIG_INVALID', /no token for/))
  })
})

describe('a login', () => {
  const REMOTE = 'https://coffer.example/'
  const loggedIn = async (current: string | null = REMOTE) => {
    const loginsFile = join(await temporaryFolder(), 'coffer/logins.json')
    writeLogins(loginsFile, { current, tokens: { [REMOTE]: 'kept' } })
    return loginsFile
  }

  test('is used from any folder, also where a local up runs, but not where COFFER_DATA_DIR asks for that', async () => {
    const [checkout, loginsFile] = [await checkoutWith(LOCAL), await loggedIn()]
    expect(find({ env: {}, checkout, cwd: '/', loginsFile })).toEqual({
      url: new URL(REMOTE),
      urlFrom: loginsFile,
      token: 'kept',
      tokenFrom: loginsFile,
    })
    const env = { COFFER_DATA_DIR: join(checkout, '.coffer') }
    expect(find({ env, checkout, cwd: '/', loginsFile })).toMatchObject({
      url: new URL('http://127.0.0.1:8200/'),
      token: 'local-token',
    })
  })

  test('gives its token to its own address only, and after what is set', async () => {
    const [checkout, loginsFile] = [await temporaryFolder(), await loggedIn()]
    const at = (env: Surroundings['env']) => find({ env, checkout, cwd: checkout, loginsFile })
    expect(at({ COFFER_URL: 'https://coffer.example' }).token).toBe('kept')
    expect(() => at({ COFFER_URL: 'https://coffer.example:444' })).toThrow(wrong('CONFIG_INVALID', /no token for/))
    expect(() => at({ COFFER_URL: 'https://coffer.example/other' })).toThrow(wrong('CONFIG_INVALID', /no token for/))
    expect(at({ COFFER_TOKEN: 'given' })).toEqual({
      url: new URL(REMOTE),
      urlFrom: loginsFile,
      token: 'kept',
      tokenFrom: loginsFile,
      remark: expect.stringMatching(/^COFFER_TOKEN is ignored/) as string,
    })
    expect(at({ COFFER_URL: REMOTE, COFFER_TOKEN: 'given' }).token).toBe('given')
  })

  test('whose file is damaged is named, and one that is only kept leads nowhere', async () => {
    const checkout = await temporaryFolder()
    const damaged = join(checkout, 'logins.json')
    await writeFile(damaged, '{"current": 7}')
    expect(() => find({ env: {}, checkout, cwd: '/', loginsFile: damaged })).toThrow(
      wrong('CONFIG_INVALID', /logins\.json: remove it/),
    )
    const kept = await loggedIn(null)
    expect(() => find({ env: {}, checkout, cwd: '/', loginsFile: kept })).toThrow(wrong('PRODUCER_UNREACHABLE', /./))
  })
})
