import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { openCatalog, type Catalog } from '../../shared/catalog/database.ts'
import { createTestDatabase, onTestServer } from '../support/databases.ts'
import { until } from '../support/until.ts'
import { isCatalogAway } from '../../workers/persistently.ts'

/** Ends every session of the database, as a restart of its server does. */
const endSessions = (name: string) =>
  onTestServer(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`)

async function withCatalog(work: (catalog: Catalog, name: string) => Promise<void>): Promise<void> {
  const database = await createTestDatabase()
  const catalog = openCatalog({ url: database.url, maxConnections: 2, onError: () => undefined })
  try {
    await work(catalog, database.name)
  } finally {
    await catalog.close()
    await database.drop()
  }
}

test('F46 a lock whose session breaks while the work goes on ends neither the work nor the process, and is free again', () =>
  withCatalog(async (catalog, name) => {
    const result = await catalog.exclusively('a lock', async () => {
      await endSessions(name)
      return (await catalog.query<{ one: number }>('SELECT 1 AS one'))[0]?.one
    })
    expect(result).toBe(1)
    expect(await catalog.exclusively('a lock', () => Promise.resolve('again'))).toBe('again')
  }))

test('F46 a transaction whose session breaks between two queries fails as one that may be tried again', () =>
  withCatalog(async (catalog, name) => {
    const broken = catalog.transaction(async (tx) => {
      await tx.query('SELECT 1')
      await endSessions(name)
      await tx.query('SELECT 1')
    })
    const error = await broken.catch((thrown: unknown) => thrown)
    expect(isCatalogAway(error)).toBe(true)
    expect(await catalog.query('SELECT 1 AS one')).toEqual([{ one: 1 }])
  }))

test('F3 a process that freezes while it holds a lock loses it', () =>
  withCatalog(async (catalog) => {
    const script = `
      import { openCatalog } from '${new URL('../../shared/catalog/database.ts', import.meta.url).href}'
      const catalog = openCatalog({ url: process.env.URL, maxConnections: 2, onError: () => undefined })
      await catalog.exclusively('a lock', () => new Promise(() => console.log('held')))`
    const [{ url } = { url: '' }] = await catalog.query<{ url: string }>(`SELECT current_database() AS url`)
    const address = new URL(process.env.COFFER_TEST_DATABASE_URL ?? '')
    address.pathname = `/${url}`
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], { env: { URL: address.href } })
    try {
      await once(holder.stdout, 'data')
      expect(await catalog.exclusively('a lock', () => Promise.resolve('mine'))).toBeNull()
      holder.kill('SIGSTOP')
      expect(await until(() => catalog.exclusively('a lock', () => Promise.resolve('mine')))).toBe('mine')
    } finally {
      holder.kill('SIGKILL')
    }
  }))
