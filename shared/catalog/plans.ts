import { randomUUID } from 'node:crypto'
import type { Db } from './database.ts'
import { DEFAULT_SLUG } from './organisations.ts'
import type { Page } from './scope.ts'

export interface PlanView {
  uuid: string
  slug: string
  name: string
  created_at: Date
}

/** Makes the plan `default` if it isn't there. May run twice, also at the same time. */
export async function ensureDefaultPlan(db: Db, now: Date): Promise<void> {
  await db.query(
    'INSERT INTO plans (id, slug, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (slug) DO NOTHING',
    [randomUUID(), DEFAULT_SLUG, 'Default', now],
  )
}

export async function listPlans(db: Db, page: Page): Promise<{ rows: PlanView[]; count: number }> {
  const rows = await db.query<PlanView>(
    'SELECT id AS uuid, slug, name, created_at FROM plans ORDER BY slug LIMIT $1 OFFSET $2',
    [page.limit, page.offset],
  )
  const [total] = await db.query<{ count: number }>('SELECT count(*) FROM plans')
  return { rows, count: total?.count ?? 0 }
}
