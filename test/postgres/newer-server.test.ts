import { afterAll, beforeAll, expect, test } from 'vitest'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { openDump } from '../../shared/postgres/dump.ts'
import { restoreIntoEmpty } from '../../shared/postgres/restore.ts'
import { inspectServer } from '../../shared/postgres/server.ts'
import { createTestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { startNewerPostgres, type NewerPostgres } from '../support/newer-postgres.ts'
import { clients, query } from '../support/postgres.ts'
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
      const restored = await restoreIntoEmpty({
        connection,
        clients: olderClients,
        dump: inPieces(bytes, 10_000),
        expected: contents,
      })
      expect(restored).toEqual({ tables: 1, rows: 1000, largeObjects: 0 })
    } finally {
      await source.drop()
    }
  },
)
