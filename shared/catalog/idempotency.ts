import type { Db } from './database.ts'

/** How long the answer to a request is kept under its key. */
export const KEPT_HOURS = 24
const CLEANED_AT_ONCE = 100

export interface IdempotencyKey {
  tokenId: string
  key: string
}

export interface KeptAnswer {
  /** Of the request that was answered so. */
  requestSha256: Buffer
  status: number
  /** Encrypted. */
  body: Buffer
}

/** Takes the key until the transaction ends, and never waits for it. false: another request has it. */
export async function takeKey(tx: Db, { tokenId, key }: IdempotencyKey): Promise<boolean> {
  const [row] = await tx.query<{ taken: boolean }>(
    'SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS taken',
    [`idempotency ${tokenId} ${key}`],
  )
  return row?.taken === true
}

/** null: this is the first request with the key, or the first one since a day. */
export async function findAnswer(tx: Db, { tokenId, key }: IdempotencyKey, now: Date): Promise<KeptAnswer | null> {
  const [row] = await tx.query<KeptAnswer>(
    `SELECT request_sha256 AS "requestSha256", status, body FROM idempotency_keys
      WHERE token_id = $1 AND key = $2 AND created_at > $3`,
    [tokenId, key, oldest(now)],
  )
  return row ?? null
}

/** In the transaction that the request's work is done in, so that neither is there without the other. */
export async function keepAnswer(
  tx: Db,
  { tokenId, key }: IdempotencyKey,
  { requestSha256, status, body }: KeptAnswer,
  now: Date,
): Promise<void> {
  await tx.query(
    `DELETE FROM idempotency_keys WHERE (token_id, key) IN
       (SELECT token_id, key FROM idempotency_keys WHERE created_at <= $1 LIMIT ${CLEANED_AT_ONCE} FOR UPDATE SKIP LOCKED)`,
    [oldest(now)],
  )
  await tx.query(
    `INSERT INTO idempotency_keys (token_id, key, request_sha256, status, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (token_id, key) DO UPDATE SET request_sha256 = excluded.request_sha256, status = excluded.status,
            body = excluded.body, created_at = excluded.created_at`,
    [tokenId, key, requestSha256, status, body, now],
  )
}

const oldest = (now: Date) => new Date(now.getTime() - KEPT_HOURS * 3_600_000)
