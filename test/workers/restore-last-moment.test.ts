import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { listScratches, scratchName } from '../../shared/postgres/scratch.ts'
import { markerOfRestore } from '../../shared/postgres/swap.ts'
import type { Step } from '../../shared/steps.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { mediaRestorer } from '../../workers/restore/restore-media.ts'
import { createOwnedDatabase, storeDump, type StoredDump } from '../support/database-parts.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { scratch } from '../support/media-archives.ts'
import { expectSameTree, look } from '../support/media-zoo.ts'
import { partOf } from '../support/media-restores.ts'
import { query } from '../support/postgres.ts'
import { fillFolder } from '../support/sample-data.ts'
import { storeMedia } from '../support/stored-media.ts'

let source: TestDatabase
let dump: StoredDump
beforeAll(async () => {
  source = await createTestDatabase()
  await query(source.url, 'CREATE TABLE item AS SELECT n FROM generate_series(1, 50) n')
  dump = await storeDump(await dumpWhole(source.url))
})
afterAll(() => source.drop())

/** Does this in the very moment in which the step is reached, once. */
function at(step: Step, act: () => void): void {
  const listen = (message: unknown) => {
    if ((message as { step: Step }).step !== step) return
    unsubscribe('coffer:step', listen)
    act()
  }
  subscribe('coffer:step', listen)
  onTestFinished(() => void unsubscribe('coffer:step', listen))
}

async function target(...statements: string[]): Promise<string> {
  const owned = await createOwnedDatabase('CREATEDB')
  onTestFinished(() => owned.drop())
  if (statements.length > 0) await query(owned.url, ...statements)
  return owned.url
}

const items = (url: string) => query(url, 'SELECT count(*)::int FROM item')

describe('a worker that is told to stop while the living database is closed', () => {
  const stopAt = (step: Step): AbortSignal => {
    const stop = new AbortController()
    at(step, () => stop.abort(new CofferError('WORKER_STOPPED', 'the worker was told to stop')))
    return stop.signal
  }

  test('puts the new one in its place first: nobody is shut out', async () => {
    const url = await target('CREATE TABLE item AS SELECT 1 AS n')
    const part = dump.into(url, { signal: stopAt('restore-closed') })
    const preflight = await databaseRestorer.preflight(part)
    await databaseRestorer.restore(part, preflight).catch(() => undefined)
    expect(await items(url)).toEqual([{ count: 50 }])
    await databaseRestorer.confirm(dump.into(url, { id: part.id }))
  })

  test('undoes to the end', async () => {
    const url = await target('CREATE TABLE item AS SELECT 1 AS n')
    const part = dump.into(url, { id: randomUUID() })
    await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
    await databaseRestorer
      .undo(dump.into(url, { id: part.id, signal: stopAt('restore-closed') }))
      .catch(() => undefined)
    expect(await items(url)).toEqual([{ count: 1 }])
  })
})

describe('what comes into an empty target while it is restored, when nothing was backed up', () => {
  test('stays in the database, and the restore says so', async () => {
    const url = await target()
    const part = dump.into(url)
    const preflight = await databaseRestorer.preflight(part)
    expect(preflight.isEmpty).toBe(true)
    at('restore-scratch-made', () => {
      execFileSync('psql', [url, '--quiet', '--command', 'CREATE TABLE arrived AS SELECT 7 AS n'])
    })
    const restored = databaseRestorer.restore(part, preflight)
    await expect(restored).rejects.toMatchObject({
      code: 'TARGET_NOT_EMPTY',
      message: expect.stringMatching(/holds table .*arrived/) as string,
      remedy: 'restore again: what the target holds is backed up first',
    })
    expect(await query(url, 'SELECT n FROM arrived')).toEqual([{ n: 7 }])
    expect(await databaseRestorer.recover(part)).toBe('as-before')
  })

  test('stays also where it comes after the last look before the database is closed', async () => {
    const url = await target()
    const part = dump.into(url)
    const preflight = await databaseRestorer.preflight(part)
    at('restore-carried', () => {
      execFileSync('psql', [url, '--quiet', '--command', 'CREATE TABLE arrived AS SELECT 7 AS n'])
    })
    await expect(databaseRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'TARGET_NOT_EMPTY' })
    expect(await query(url, 'SELECT n FROM arrived')).toEqual([{ n: 7 }])
    expect(await databaseRestorer.recover(part)).toBe('as-before')
  })

  test('stays in the folder, and the restore says so', async () => {
    await using place = scratch()
    mkdirSync(`${place.path}/in`)
    await fillFolder(`${place.path}/in`, 5)
    const media = await storeMedia(`${place.path}/in`, place.path)
    const root = `${place.path}/out`
    mkdirSync(root)
    const part = partOf(media, { root })
    const preflight = await mediaRestorer.preflight(part)
    expect(preflight.isEmpty).toBe(true)
    at('media-staged', () => writeFileSync(`${root}/upload.jpg`, 'arrived'))
    await expect(mediaRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'TARGET_NOT_EMPTY' })
    expect(readFileSync(`${root}/upload.jpg`, 'utf8')).toBe('arrived')
    expect(await mediaRestorer.recover(part)).toBe('as-before')
  })
})

describe('a worker that was taken for dead', () => {
  test('puts no scratch database into place that the next one has half restored, and leaves it to that', async () => {
    const url = await target('CREATE TABLE item AS SELECT 1 AS n')
    const part = dump.into(url)
    const preflight = await databaseRestorer.preflight(part)
    const door = new URL(url)
    door.pathname = '/postgres'
    const [name, marker] = [scratchName('restore', part.id), markerOfRestore(part.id)]
    const psql = (...statements: string[]) =>
      execFileSync('psql', [door.href, '--quiet', ...statements.flatMap((statement) => ['--command', statement])])
    // As the next attempt does: the same name, the same marker.
    at('restore-compared', () => {
      psql(`DROP DATABASE ${name}`, `CREATE DATABASE ${name}`, `COMMENT ON DATABASE ${name} IS 'coffer: ${marker}'`)
    })
    await expect(databaseRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'RUN_FENCED' })
    expect(await items(url)).toEqual([{ count: 1 }])
    expect((await listScratches(parsePostgresUrl(door.href))).map((scratch) => scratch.name)).toContain(name)
    expect(await databaseRestorer.recover(part)).toBe('as-before')
  })

  test('drops no scratch database of the next one when it had not made its own yet', async () => {
    const url = await target('CREATE TABLE item AS SELECT 1 AS n')
    const part = dump.into(url)
    const preflight = await databaseRestorer.preflight(part)
    const door = new URL(url)
    door.pathname = '/postgres'
    const name = scratchName('restore', part.id)
    const fenced = new AbortController()
    let openings = 0
    // The dump is opened for the plan, then for the restore: only then did it freeze.
    const report = (progress: object) => {
      if (!('expected_bytes' in progress) || ++openings < 2) return
      const mark = `COMMENT ON DATABASE ${name} IS 'coffer: ${markerOfRestore(part.id)}'`
      execFileSync('psql', [door.href, '--quiet', '--command', `CREATE DATABASE ${name}`, '--command', mark])
      fenced.abort(new CofferError('RUN_FENCED', 'another worker has taken it over'))
    }
    const life = { ...part.life, signal: fenced.signal, report }
    await expect(databaseRestorer.restore({ ...part, life }, preflight)).rejects.toMatchObject({ code: 'RUN_FENCED' })
    expect(openings).toBe(2)
    expect((await listScratches(parsePostgresUrl(door.href))).map((scratch) => scratch.name)).toContain(name)
    expect(await databaseRestorer.recover(part)).toBe('as-before')
  })

  test.each<Step>(['media-staged', 'media-journal-written'])(
    'moves nothing into a folder once another has made its staging anew: %s',
    async (step) => {
      await using place = scratch()
      const root = `${place.path}/out`
      for (const folder of ['in', 'out']) {
        mkdirSync(`${place.path}/${folder}`)
        await fillFolder(`${place.path}/${folder}`, folder === 'in' ? 5 : 9)
      }
      const media = await storeMedia(`${place.path}/in`, place.path)
      const part = partOf(media, { root })
      const preflight = await mediaRestorer.preflight(part)
      const before = look(root)
      at(step, () => {
        const staging = readdirSync(place.path, { recursive: true, encoding: 'utf8' }).find((path) =>
          path.endsWith(part.id),
        )
        if (staging === undefined) throw new Error('there is no staging')
        rmSync(`${place.path}/${staging}`, { recursive: true })
        mkdirSync(`${place.path}/${staging}`)
        // As the next attempt does while it writes its own.
        if (step === 'media-journal-written') writeFileSync(`${place.path}/${staging}/journal.tmp`, '{"format":1')
      })
      await expect(mediaRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'RUN_FENCED' })
      expectSameTree(look(root), before)
    },
  )
})
