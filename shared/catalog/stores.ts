import { randomUUID } from 'node:crypto'
import { CofferError } from '../errors.ts'
import { scrub } from '../scrub.ts'
import { violatedConstraint, type Catalog, type Db } from './database.ts'
import { DEFAULT_SLUG } from './organisations.ts'
import { isUuid, type Page } from './scope.ts'

export interface StoreView {
  uuid: string
  name: string
  url: string
  region: string
  is_default: boolean
  created_at: Date
}

const VIEW = 'SELECT id AS uuid, name, url, region, is_default, created_at FROM stores'

/** The region that the URL names with `?region=`, else `local`. */
const regionOf = (url: string) => new URL(url).searchParams.get('region') ?? 'local'

/**
 * Makes the store at this URL the default and gives it the name `default`; every URL keeps one row for ever, since artifacts point to
 * it. May run twice, also at the same time.
 */
export async function ensureDefaultStore(catalog: Catalog, url: string, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx.query('LOCK TABLE stores IN SHARE ROW EXCLUSIVE MODE')
    await tx.query(
      `UPDATE stores SET is_default = false, name = CASE name WHEN $2 THEN 'store-' || left(id::text, 8) ELSE name END
        WHERE url <> $1 AND (is_default OR name = $2)`,
      [url, DEFAULT_SLUG],
    )
    await tx.query(
      `INSERT INTO stores (id, name, url, region, is_default, created_at) VALUES ($1, $2, $3, $4, true, $5)
       ON CONFLICT (url) DO UPDATE SET is_default = true, name = excluded.name`,
      [randomUUID(), DEFAULT_SLUG, url, regionOf(url), now],
    )
  })
}

/**
 * Registers another store. It is found by its name from now on; environments may be pointed to it.
 * @throws CONFLICT (the name or the address is taken)
 */
export async function createStore(
  db: Db,
  { name, url, now }: { name: string; url: string; now: Date },
): Promise<StoreView> {
  try {
    const [row] = await db.query<StoreView>(
      `INSERT INTO stores (id, name, url, region, created_at) VALUES ($1, $2, $3, $4, $5)
       RETURNING id AS uuid, name, url, region, is_default, created_at`,
      [randomUUID(), name, url, regionOf(url), now],
    )
    if (!row) throw new CofferError('INTERNAL', 'the store was not recorded')
    return { ...row, url: scrub(row.url) }
  } catch (cause) {
    const violated = violatedConstraint(cause)
    if (!violated.startsWith('stores_')) throw cause
    const what = violated === 'stores_url_key' ? 'at this address' : `with the name ${name}`
    throw new CofferError('CONFLICT', `there is a store ${what} already`, { cause })
  }
}

export async function listStores(db: Db, page: Page): Promise<{ rows: StoreView[]; count: number }> {
  const rows = await db.query<StoreView>(`${VIEW} ORDER BY is_default DESC, name LIMIT $1 OFFSET $2`, [
    page.limit,
    page.offset,
  ])
  const [total] = await db.query<{ count: number }>('SELECT count(*) FROM stores')
  return { rows: rows.map((row) => ({ ...row, url: scrub(row.url) })), count: total?.count ?? 0 }
}

/** Whether this address was ever a store of this catalog. */
export async function isKnownStore(db: Db, url: string): Promise<boolean> {
  return (await db.query('SELECT 1 FROM stores WHERE url = $1', [url])).length > 0
}

/** @throws NOT_FOUND */
export async function getStore(db: Db, id: string): Promise<StoreView> {
  const [row] = isUuid(id) ? await db.query<StoreView>(`${VIEW} WHERE id = $1`, [id]) : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no store ${id}`)
  return { ...row, url: scrub(row.url) }
}

/** The address of a store as it was configured. For opening it, not for showing it. @throws NOT_FOUND */
export async function storeUrl(db: Db, id: string): Promise<string> {
  const [row] = isUuid(id) ? await db.query<{ url: string }>('SELECT url FROM stores WHERE id = $1', [id]) : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no store ${id}`)
  return row.url
}
