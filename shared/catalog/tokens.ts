import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { CofferError } from '../errors.ts'
import { countUpTo } from './counting.ts'
import type { Catalog, Db } from './database.ts'
import { revokeDownloadsOf } from './downloads.ts'
import { isUuid, type Page, type Scope } from './scope.ts'
import { expireUploadsOf } from './uploads.ts'

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** A token that works. */
export interface TokenRow {
  id: string
  /** null: the whole installation. */
  organisation_id: string | null
  name: string
  role: Role
}

/** A token as the API shows it: never its text, which nobody knows but whoever got it. */
export interface TokenView {
  uuid: string
  name: string
  role: Role
  organisation: string | null
  created_at: Date
  created_by: string | null
  expires_at: Date | null
  /** To the minute. */
  last_used_at: Date | null
  revoked_at: Date | null
}

export const BOOTSTRAP_TOKEN = 'bootstrap admin'
const USE_RESOLUTION_MS = 60_000

/** How a token is kept and looked up: the SHA-256 of its text. */
export const hashToken = (token: string): Buffer => createHash('sha256').update(token).digest()

const WORKS = (now: string) => `revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ${now})`

/** The token of this hash, if it works, and notes that it was used. null: no such token, or revoked, or expired. */
export const useToken = (db: Db, sha256: Buffer, now: Date): Promise<TokenRow | null> => use(db, 'sha256', sha256, now)

/** The same by its id. */
export const useTokenById = (db: Db, id: string, now: Date): Promise<TokenRow | null> => use(db, 'id', id, now)

async function use(db: Db, column: 'sha256' | 'id', value: unknown, now: Date): Promise<TokenRow | null> {
  const [row] = await db.query<TokenRow & { is_stale: boolean }>(
    `SELECT id, organisation_id, name, role, coalesce(last_used_at < $3, true) AS is_stale
       FROM tokens WHERE ${column} = $1 AND ${WORKS('$2')}`,
    [value, now, new Date(now.getTime() - USE_RESOLUTION_MS)],
    `token by ${column}`,
  )
  if (!row) return null
  const { is_stale: isStale, ...token } = row
  if (isStale) await db.query('UPDATE tokens SET last_used_at = $2 WHERE id = $1', [token.id, now])
  return token
}

const VIEW = `SELECT id AS uuid, name, role, organisation_id AS organisation, created_at, created_by, expires_at, last_used_at,
                     revoked_at FROM tokens WHERE ($1::uuid IS NULL OR organisation_id = $1)`

/** Also one that was revoked. @throws NOT_FOUND */
export async function getToken(db: Db, id: string, scope: Scope): Promise<TokenView> {
  const [row] = isUuid(id) ? await db.query<TokenView>(`${VIEW} AND id = $2`, [scope.organisationId, id]) : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no token ${id}`)
  return row
}

/** Those that were not revoked, newest first. */
export async function listTokens(
  db: Db,
  { scope, page }: { scope: Scope; page: Page },
): Promise<{ rows: TokenView[]; count: number }> {
  const live = `${VIEW} AND revoked_at IS NULL`
  const rows = await db.query<TokenView>(`${live} ORDER BY created_at DESC, id LIMIT $2 OFFSET $3`, [
    scope.organisationId,
    page.limit,
    page.offset,
  ])
  return { rows, count: await countUpTo(db, live, [scope.organisationId], page) }
}

export interface NewToken {
  name: string
  role: Role
  organisationId: string | null
  expiresAt: Date | null
  createdBy: string
  now: Date
}

/** @returns the token's text beside its view: nobody can read it again */
export async function createToken(db: Db, input: NewToken): Promise<TokenView & { token: string }> {
  const [id, token] = [randomUUID(), `coffer_${randomBytes(32).toString('hex')}`]
  await db.query(
    `INSERT INTO tokens (id, organisation_id, name, role, sha256, created_at, created_by, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [id, input.organisationId, input.name, input.role, hashToken(token), input.now, input.createdBy, input.expiresAt],
  )
  return { ...(await getToken(db, id, { organisationId: input.organisationId })), token }
}

/**
 * It works no more from the next request on, nor do the links that it has made. May run twice.
 * @throws NOT_FOUND, CONFLICT (nobody else could administer the installation)
 */
export function revokeToken(catalog: Catalog, id: string, scope: Scope, now: Date): Promise<void> {
  return catalog.transaction(async (tx) => {
    // Two admins who revoke each other at the same time would leave none.
    await tx.query('LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE')
    const token = await getToken(tx, id, scope)
    if (token.organisation === null && token.role === 'admin') await requireOtherAdmin(tx, token, now)
    await tx.query('UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL', [id, now])
    await revokeDownloadsOf(tx, id, now)
    await expireUploadsOf(tx, id, now)
  })
}

async function requireOtherAdmin(tx: Db, { uuid, name }: TokenView, now: Date): Promise<void> {
  const others = await tx.query(
    `SELECT 1 FROM tokens WHERE organisation_id IS NULL AND role = 'admin' AND id <> $1 AND ${WORKS('$2')} LIMIT 1`,
    [uuid, now],
  )
  if (others.length > 0) return
  throw new CofferError(
    'CONFLICT',
    `the token "${name}" is the last admin's of the whole installation: make another first`,
  )
}

/**
 * Makes this the one bootstrap token of the installation; the one before it no longer works. One that was revoked stays so until the
 * configuration names another. May run twice, also at the same time.
 */
export async function seedAdminToken(catalog: Catalog, token: string, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx.query('LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE')
    const sha256 = hashToken(token)
    const known = await tx.query<{ id: string; is_same: boolean }>(
      `SELECT id, sha256 = $2 AS is_same FROM tokens WHERE name = $1 AND organisation_id IS NULL AND created_by IS NULL`,
      [BOOTSTRAP_TOKEN, sha256],
    )
    if (known.some((token) => token.is_same)) return
    for (const { id } of known) await replaceToken(tx, id, now)
    await tx.query(
      `INSERT INTO tokens (id, organisation_id, name, role, sha256, created_at) VALUES ($1, NULL, $2, 'admin', $3, $4)`,
      [randomUUID(), BOOTSTRAP_TOKEN, sha256, now],
    )
  })
}

/** Ends it with its sessions and links, and forgets its text, so that the configuration may name it again one day. */
async function replaceToken(tx: Db, id: string, now: Date): Promise<void> {
  await tx.query('UPDATE tokens SET sha256 = $2, revoked_at = coalesce(revoked_at, $3) WHERE id = $1', [
    ...[id, randomBytes(32), now],
  ])
  await revokeDownloadsOf(tx, id, now)
  await expireUploadsOf(tx, id, now)
}
