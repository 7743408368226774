import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parsePostgresUrl, type PostgresConnection } from '../../shared/postgres/connection.ts'
import { openDump } from '../../shared/postgres/dump.ts'
import { openClientEnvironment } from '../../shared/postgres/environment.ts'
import { inspectServer } from '../../shared/postgres/server.ts'
import { withSession } from '../../shared/postgres/session.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { storeDump } from '../support/database-parts.ts'
import { createTestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { startNewerPostgres, type NewerPostgres } from '../support/newer-postgres.ts'
import { clients, query } from '../support/postgres.ts'
import { restoreInto } from '../support/restores.ts'
import { inPieces } from '../support/streams.ts'

let newer: NewerPostgres
beforeAll(async () => (newer = await startNewerPostgres()))
afterAll(() => newer.stop())

const olderClients = clients.filter(({ major }) => major < 18)

test.skipIf(olderClients.length === 0)(
  'a server newer than every client is refused before a byte flows, with both versions in the message',
  async () => {
    const connection = parsePostgresUrl(newer.url)
    expect((await inspectServer(connection)).major).toBe(newer.major)
    const majors = olderClients.map(({ major }) => major)
    await expect(openDump({ connection, clients: olderClients })).rejects.toThrow(
      expect.objectContaining({
        code: 'SERVER_VERSION_UNSUPPORTED',
        details: { server_major: newer.major, installed_majors: majors },
      }) as Error,
    )
  },
)

test.skipIf(olderClients.length === 0)(
  'a dump of an older server goes into a newer one, by the client that made it',
  async () => {
    const source = await createTestDatabase()
    try {
      await query(source.url, 'CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 1000) i')
      const { bytes, contents } = await dumpWhole(source.url)
      const connection = parsePostgresUrl(newer.url)
      const restored = await restoreInto({
        connection,
        clients: olderClients,
        dump: inPieces(bytes, 10_000),
        expected: contents,
      })
      expect(restored).toMatchObject({ tables: 1, rows: 1000, large_objects: 0, compared: 'relations' })
    } finally {
      await source.drop()
    }
  },
)

test.skipIf(olderClients.length === 0)(
  'a dump of an older server is restored over a living database of a newer one by swap, and undone',
  async () => {
    const source = await createTestDatabase()
    try {
      await query(source.url, 'CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 1000) i')
      const dump = await storeDump(await dumpWhole(source.url))
      await query(
        newer.url,
        `CREATE DATABASE "Living 18" TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'`,
      )
      const url = new URL(newer.url)
      url.pathname = '/Living%2018'
      await query(url.href, 'CREATE TABLE later AS SELECT 18 AS n')
      const part = dump.into(url.href)
      const preflight = await databaseRestorer.preflight(part)
      expect(preflight).toMatchObject({ findings: [], isEmpty: false })
      expect(await databaseRestorer.restore(part, preflight)).toMatchObject({ rows: 1000, compared: 'relations' })
      expect(await query(url.href, `SELECT count(*)::int, to_regclass('later') AS later FROM t`)).toEqual([
        { count: 1000, later: null },
      ])
      const provider = 'SELECT datlocprovider AS provider FROM pg_database WHERE datname = current_database()'
      expect(await query(url.href, provider)).toEqual([{ provider: 'b' }])
      await databaseRestorer.undo(part)
      expect(await query(url.href, 'SELECT n FROM later')).toEqual([{ n: 18 }])
    } finally {
      await source.drop()
    }
  },
)

test.skipIf(olderClients.length === 0)(
  'TLS is checked as sslmode says, by the driver and by the client program',
  async () => {
    const tls = join(import.meta.dirname, 'tls')
    const [rootcert, other] = [join(tls, 'server.crt'), join(tls, 'other.crt')]
    await newer.offerTls(await readFile(join(tls, 'server.key')), await readFile(rootcert))
    const at = (parameters: string) => parsePostgresUrl(`${newer.url}?${parameters}`)
    const isEncrypted = (connection: PostgresConnection) =>
      withSession(connection, {}, async (session) => {
        const { rows } = await session.query<{ ssl: boolean }>(
          'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
        )
        return rows[0]?.ssl
      })
    await expect.poll(() => isEncrypted(at('sslmode=prefer')), { timeout: 20_000 }).toBe(true)
    expect(await isEncrypted(at('sslmode=disable'))).toBe(false)
    expect(await isEncrypted(at('sslmode=require'))).toBe(true)
    const verified = at(`sslmode=verify-full&sslrootcert=${rootcert}`)
    expect(await isEncrypted(verified)).toBe(true)
    expect(await isEncrypted({ ...verified, sslmode: 'verify-ca', host: 'localhost' })).toBe(true)

    const unreachable = expect.objectContaining({ code: 'SOURCE_UNREACHABLE' }) as Error
    await expect(isEncrypted({ ...verified, host: 'localhost' })).rejects.toThrow(unreachable)
    await expect(isEncrypted({ ...verified, sslrootcert: other })).rejects.toThrow(unreachable)
    await expect(isEncrypted(at('sslmode=verify-full'))).rejects.toThrow(unreachable)

    expect(await dumpVersionRefusal(verified)).toMatch(/server version mismatch/)
    expect(await dumpVersionRefusal({ ...verified, sslrootcert: other })).toMatch(/certificate verify failed/)
    expect(await dumpVersionRefusal(at('sslmode=verify-full'))).toMatch(/certificate verify failed/)
    expect(await dumpVersionRefusal({ ...verified, host: 'localhost' })).toMatch(/does not match host name "localhost"/)
  },
)

/** What an older pg_dump says: it refuses the server's version only after it has connected. */
async function dumpVersionRefusal(connection: PostgresConnection): Promise<string> {
  await using environment = await openClientEnvironment(connection)
  const { stderr } = spawnSync(olderClients[0]?.pgDump ?? '', ['--no-password'], { env: environment.variables })
  return stderr.toString()
}
