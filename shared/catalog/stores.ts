import { randomUUID } from 'node:crypto'
import { CofferError } from '../errors.ts'
import { scrub } from '../scrub.ts'
import type { Catalog, Db } from './database.ts'
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

/** The address of a store as it was configured. For opening it, not for showing it. @throws NOT_FOUND */
export async function storeUrl(db: Db, id: string): Promise<string> {
  const [row] = isUuid(id) ? await db.query<{ url: string }>('SELECT url FROM stores WHERE id = $1', [id]) : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no store ${id}`)
  return row.url
}
