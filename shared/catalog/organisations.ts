import { randomUUID } from 'node:crypto'
import { CofferError } from '../errors.ts'
import type { Db } from './database.ts'

export const DEFAULT_SLUG = 'default'

/** Makes the organisation `default` if it isn't there. May run twice, also at the same time. */
export async function ensureDefaultOrganisation(db: Db, now: Date): Promise<void> {
  await db.query(
    'INSERT INTO organisations (id, slug, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (slug) DO NOTHING',
    [randomUUID(), DEFAULT_SLUG, 'Default', now],
  )
}

export async function defaultOrganisationId(db: Db): Promise<string> {
  const [row] = await db.query<{ id: string }>('SELECT id FROM organisations WHERE slug = $1', [DEFAULT_SLUG])
  if (!row) throw new CofferError('NOT_FOUND', `there is no organisation ${DEFAULT_SLUG}`)
  return row.id
}

export async function organisationExists(db: Db, id: string): Promise<boolean> {
  return (await db.query('SELECT 1 FROM organisations WHERE id = $1', [id])).length > 0
}
