import type { Db } from './database.ts'
import type { Page } from './scope.ts'

const EXACT_UP_TO = 10_000

/**
 * How many rows a query has, counted no further than 10,000 or one beyond the page: an exact count of a million takes longer than the page
 * itself. Whether there is a next page is always right.
 * @param query with its filters, and without order and limit
 */
export async function countUpTo(db: Db, query: string, values: readonly unknown[], page: Page): Promise<number> {
  const most = Math.max(EXACT_UP_TO, page.offset + page.limit + 1)
  const [total] = await db.query<{ count: number }>(`SELECT count(*) FROM (${query} LIMIT ${most}) counted`, values)
  return total?.count ?? 0
}
