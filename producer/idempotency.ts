import { createHash } from 'node:crypto'
import type { Db } from '../shared/catalog/database.ts'
import { findAnswer, keepAnswer, takeKey, type KeptAnswer } from '../shared/catalog/idempotency.ts'
import { canonicalJson } from '../shared/domain/canonical-json.ts'
import { CofferError } from '../shared/errors.ts'
import type { Producer } from './producer.ts'
import { keepsAnswer, type Call, type Reply, type Route } from './routes.ts'

/** The key of a request whose answer is to be kept; null: it has none, or its answer is not for keeping. */
export function idempotencyKeyOf(route: Route, { idempotencyKey }: Call): string | null {
  if (idempotencyKey === undefined || !keepsAnswer(route)) return null
  if (/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) return idempotencyKey
  throw new CofferError('REQUEST_INVALID', 'the Idempotency-Key must be 1 to 255 visible ASCII characters', {
    details: { field: 'Idempotency-Key' },
  })
}

/** Whether this or another request got an answer under the key already: it is given again, whatever has become of the world since. */
export const isAnswered = async (
  { catalog, clock }: Pick<Producer, 'catalog' | 'clock'>,
  { actor: { tokenId } }: Call,
  key: string | null,
): Promise<boolean> => key !== null && (await findAnswer(catalog, { tokenId, key }, clock())) !== null

/**
 * Does the work of a key once: whoever asks the same again within a day gets the first answer. Answers are kept with the work, in its
 * transaction; a request that fails keeps none and may be sent again.
 * @throws IDEMPOTENCY_KEY_BUSY, IDEMPOTENCY_KEY_REUSED
 */
export async function doOnce(
  tx: Db,
  { secrets, clock }: Pick<Producer, 'secrets' | 'clock'>,
  { route, call, key }: { route: Route; call: Call; key: string },
  work: () => Promise<Reply>,
): Promise<Reply> {
  const { tokenId } = call.actor
  const id = { tokenId, key }
  const context = `idempotency ${tokenId} ${key}`
  if (!(await takeKey(tx, id)))
    throw new CofferError('IDEMPOTENCY_KEY_BUSY', 'a request with this Idempotency-Key is under way')
  const requestSha256 = hashRequest(route, call)
  const kept = await findAnswer(tx, id, clock())
  if (kept) return replay(kept, requestSha256, (box) => secrets.decrypt(box, context))
  const reply = await work()
  const body = secrets.encrypt(JSON.stringify(reply.body ?? null), context)
  await keepAnswer(tx, id, { requestSha256, status: reply.status, body }, clock())
  return reply
}

function hashRequest({ method, path }: Route, { body }: Call): Buffer {
  return createHash('sha256')
    .update(`${method} ${path}\n${canonicalJson(body ?? {})}`)
    .digest()
}

function replay(kept: KeptAnswer, requestSha256: Buffer, open: (box: Buffer) => string): Reply {
  if (!kept.requestSha256.equals(requestSha256))
    throw new CofferError('IDEMPOTENCY_KEY_REUSED', 'this Idempotency-Key was used for another request')
  const body: unknown = JSON.parse(open(kept.body))
  return { status: kept.status, isReplayed: true, ...(body === null ? {} : { body }) }
}
