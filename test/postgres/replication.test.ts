import { randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { createScratch, dropScratch, scratchName } from '../../shared/postgres/scratch.ts'
import { swapIn } from '../../shared/postgres/swap.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { createOwnedDatabase, storeDump, type OwnedDatabase, type StoredDump } from '../support/database-parts.ts'
import { onTestServer } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { query, urlOfDatabase } from '../support/postgres.ts'

const STAYS = 'is of the database and would stay with the old one: drop it, and make it again afterwards'

let target: OwnedDatabase
let dump: StoredDump
beforeEach(async () => {
  target = await createOwnedDatabase('CREATEDB')
  await query(target.url, 'CREATE TABLE a AS SELECT 1 AS one')
  dump = await storeDump(await dumpWhole(target.url))
})
afterEach(() => target.drop())

/** The last step of a restore alone: what comes between its preflight and then. */
async function swapOnly(): Promise<void> {
  const [id, door] = [randomUUID(), parsePostgresUrl(urlOfDatabase('postgres'))]
  const like = { encoding: 'UTF8', collate: 'C', ctype: 'C' }
  const [name, marker] = [scratchName('restore', id), `restore ${id}`]
  const { oid } = await createScratch(door, { name, marker, like })
  try {
    await swapIn({ id, target: parsePostgresUrl(target.url), door }, { isEmpty: false, oid })
  } finally {
    await dropScratch(door, name, marker)
  }
}

test('a replication slot of the database stands against a swap, also one made in the middle, and nobody is shut out', async () => {
  await query(
    urlOfDatabase(target.name),
    `SELECT pg_create_logical_replication_slot('${target.name}', 'test_decoding')`,
  )
  try {
    const part = dump.into(target.url)
    const preflight = await databaseRestorer.preflight(part)
    expect(preflight.findings).toEqual([`the replication slot ${target.name} ${STAYS}`])
    await expect(databaseRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'TARGET_INCOMPATIBLE' })
    const sleeper = query(target.url, 'SELECT pg_sleep(600)').catch((error: unknown) => error)
    await expect(swapOnly()).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      message: `the database ${target.name} is as it was: the replication slot ${target.name} ${STAYS}`,
    })
    const sleeping = `SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE datname = '${target.name}' AND query ~ '^SELECT pg_sleep'`
    expect(await query(urlOfDatabase('postgres'), sleeping)).toEqual([{ ended: true }])
    await sleeper
  } finally {
    await onTestServer(`SELECT pg_drop_replication_slot('${target.name}')`)
  }
  expect((await databaseRestorer.preflight(dump.into(target.url))).findings).toEqual([])
})

test('a subscription stands against a swap for any role, and a database with nothing else is not empty', async () => {
  const url = urlOfDatabase(target.name)
  const subscription = `CREATE SUBSCRIPTION "my sub" CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)`
  await query(url, 'DROP TABLE a', subscription)
  try {
    for (const role of [url, target.url]) {
      const { findings, isEmpty } = await databaseRestorer.preflight(dump.into(role))
      expect({ findings, isEmpty }).toEqual({ findings: [`the subscription my sub ${STAYS}`], isEmpty: false })
    }
  } finally {
    await query(url, 'ALTER SUBSCRIPTION "my sub" SET (slot_name = NONE)', 'DROP SUBSCRIPTION "my sub"')
  }
  expect(await databaseRestorer.preflight(dump.into(target.url))).toMatchObject({ findings: [], isEmpty: true })
})

test('a session that does not end fails the restore and says so, with the database open and as it was', async () => {
  const settings = { connectionString: urlOfDatabase(target.name), replication: 'database' }
  const client = new Client(settings)
  await client.connect()
  try {
    await expect(swapOnly()).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringMatching(
        /could not be renamed and is as it was: .* is being accessed by other users/,
      ) as string,
    })
    expect(await query(target.url, 'SELECT one FROM a')).toEqual([{ one: 1 }])
  } finally {
    await client.end()
  }
})
