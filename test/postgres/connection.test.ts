import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { readCertificates } from '../../shared/postgres/certificates.ts'
import { describeConnection, parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { openClientEnvironment } from '../../shared/postgres/environment.ts'
import { withSession } from '../../shared/postgres/session.ts'

function refusal(url: string): CofferError {
  try {
    parsePostgresUrl(url)
  } catch (error) {
    if (error instanceof CofferError) return error
    throw error
  }
  throw new Error(`${url} was accepted`)
}

describe('the URL of a PostgreSQL database', () => {
  test('gives every part, percent-decoded once', () => {
    expect(
      parsePostgresUrl('postgres://us%40er:p%3Aa%2Fs%25s@db.example.com:6543/my%20db?sslmode=verify-full'),
    ).toEqual({
      host: 'db.example.com',
      port: 6543,
      user: 'us@er',
      password: 'p:a/s%s',
      database: 'my db',
      sslmode: 'verify-full',
    })
  })

  test('takes port 5432, no password and sslmode=prefer where it says nothing', () => {
    expect(parsePostgresUrl('postgresql://user@host/db')).toEqual({
      host: 'host',
      port: 5432,
      user: 'user',
      password: '',
      database: 'db',
      sslmode: 'prefer',
    })
  })

  test('takes an IPv6 address, and shows it in brackets', () => {
    const connection = parsePostgresUrl('postgres://u:p@[::1]:5433/db')
    expect(connection.host).toBe('::1')
    expect(describeConnection(connection)).toBe('postgres://u@[::1]:5433/db')
  })

  test.each([
    ['host%3Devil%20port%3D1', 'host=evil port=1'],
    ['postgres%3A%2F%2Fx%2Fy', 'postgres://x/y'],
    ['--file=x', '--file=x'],
    ['..', '..'],
    ['%2e%2e', '..'],
    ['new%0Aline', 'new\nline'],
    ['%27%22%5C', `'"\\`],
    ['😀', '😀'],
    ['%2525', '%25'],
  ])('takes the database %s literally', (encoded, database) => {
    expect(parsePostgresUrl(`postgres://u:p@h/${encoded}`).database).toBe(database)
  })

  test.each<readonly [string, string]>([
    ['another scheme', 'mysql://u:canary@h/db'],
    ['no user', 'postgres://h/db'],
    ['no database', 'postgres://u:canary@h/'],
    ['no host', 'postgres://u:canary@/db'],
    ['a path below the database', 'postgres://u:canary@h/db/x'],
    ['two hosts', 'postgres://u:canary@h1,h2/db'],
    ['a Unix socket', 'postgres://u:canary@%2Fvar%2Frun/db'],
    ['an option for a host', 'postgres://u:canary@-h/db'],
    ['port 0', 'postgres://u:canary@h:0/db'],
    ['port 65536', 'postgres://u:canary@h:65536/db'],
    ['a bare @ in the password', 'postgres://u:can@ary@h/db'],
    ['a bare / in the password', 'postgres://u:can/canary@h/db'],
    ['broken percent-encoding', 'postgres://u:canary%zz@h/db'],
    ['a NUL', 'postgres://u:canary@h/d%00b'],
    ['a raw line break', 'postgres://u:canary@h/d\nb'],
    ['a line break in the password', 'postgres://u:canary%0A@h/db'],
    ['a fragment', 'postgres://u:canary@h/db#x'],
    ['an unknown sslmode', 'postgres://u:canary@h/db?sslmode=allow'],
    ['sslmode twice', 'postgres://u:canary@h/db?sslmode=require&sslmode=disable'],
    ['a relative sslrootcert', 'postgres://u:canary@h/db?sslrootcert=../x'],
    ...['service', 'passfile', 'sslkey', 'sslcert', 'options', 'host', 'hostaddr', 'port', 'dbname', 'user'].map(
      (name) => [`the parameter ${name}`, `postgres://u:canary@h/db?${name}=x`] as const,
    ),
  ])('is refused with %s, without being shown', (_, url) => {
    const error = refusal(url)
    expect(error.code).toBe('CONNECTION_INVALID')
    expect(error.message).not.toContain('canary')
    expect(error.message).toMatch(/^the URL of the PostgreSQL database /)
  })
})

test('a connection in a message shows no password', () => {
  expect(describeConnection(parsePostgresUrl('postgres://u:canary@h/db'))).toBe('postgres://u@h:5432/db')
})

describe('a certificate file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'coffer-certificates-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const big = join(folder, 'big')
  const fifo = join(folder, 'fifo')
  writeFileSync(big, Buffer.alloc(1024 ** 2 + 1))
  execFileSync('mkfifo', [fifo])

  test.each([
    ['that never ends', '/dev/zero'],
    ['that nobody writes to', fifo],
    ['of more than 1 MiB', big],
    ['that is a folder', folder],
    ['that is not there', join(folder, 'none')],
  ])('%s is refused, by sessions and for client programs', async (_, sslrootcert) => {
    const refused = { code: 'CONNECTION_INVALID', message: expect.stringContaining(sslrootcert) as string }
    const connection = { ...parsePostgresUrl('postgres://u@127.0.0.1:1/db?sslmode=require'), sslrootcert }
    await expect(withSession(connection, {}, () => Promise.resolve())).rejects.toMatchObject(refused)
    await expect(openClientEnvironment(connection)).rejects.toMatchObject(refused)
  })

  test('of 1 MiB is read whole', async () => {
    writeFileSync(join(folder, 'whole'), Buffer.alloc(1024 ** 2, 7))
    expect(await readCertificates(join(folder, 'whole'))).toEqual(Buffer.alloc(1024 ** 2, 7))
  })
})
