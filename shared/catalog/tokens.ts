import { createHash, randomUUID } from 'node:crypto'
import type { Catalog, Db } from './database.ts'

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

export interface TokenRow {
  id: string
  /** null: the whole installation. */
  organisation_id: string | null
  name: string
  role: Role
}

export const BOOTSTRAP_TOKEN = 'bootstrap admin'

/** How a token is kept and looked up: the SHA-256 of its text. */
export const hashToken = (token: string): Buffer => createHash('sha256').update(token).digest()

const VIEW = 'SELECT id, organisation_id, name, role FROM tokens WHERE revoked_at IS NULL'

/** null: no such token, or revoked. */
export async function findToken(db: Db, sha256: Buffer): Promise<TokenRow | null> {
  const [row] = await db.query<TokenRow>(`${VIEW} AND sha256 = $1`, [sha256])
  return row ?? null
}

/** null: no such token, or revoked. */
export async function findTokenById(db: Db, id: string): Promise<TokenRow | null> {
  const [row] = await db.query<TokenRow>(`${VIEW} AND id = $1`, [id])
  return row ?? null
}

/** Makes this the one bootstrap token of the installation; the one before it no longer works. May run twice, also at the same time. */
export async function seedAdminToken(catalog: Catalog, token: string, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx.query('LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE')
    const updated = await tx.query(
      'UPDATE tokens SET sha256 = $2, revoked_at = NULL WHERE name = $1 AND organisation_id IS NULL RETURNING id',
      [BOOTSTRAP_TOKEN, hashToken(token)],
    )
    if (updated.length > 0) return
    await tx.query(
      `INSERT INTO tokens (id, organisation_id, name, role, sha256, created_at) VALUES ($1, NULL, $2, 'admin', $3, $4)`,
      [randomUUID(), BOOTSTRAP_TOKEN, hashToken(token), now],
    )
  })
}
