import type { RequestHandler } from 'express'
import type { Db } from '../shared/catalog/database.ts'
import { listLiving } from '../shared/catalog/heartbeats.ts'
import { missingMigrations } from '../shared/catalog/migration-state.ts'
import type { Clock } from '../shared/clock.ts'
import { CofferError, toCofferError } from '../shared/errors.ts'
import type { Queues } from '../shared/queues.ts'
import { scrub } from '../shared/scrub.ts'
import { keyState } from './keys.ts'
import type { Producer } from './producer.ts'

interface Check {
  name: string
  ok: boolean
  /** What stands against it, or nothing. */
  reason: string | null
}

const CHECK_DEADLINE_MS = 2_000
const REMEMBERED_MS = 60_000

export const healthz: RequestHandler = (_request, response) => void response.json({ status: 'ok' })

/** 200 when everything that a backup needs answers, else 503; each check with its reason. */
export function readyz(producer: Producer): RequestHandler {
  const { catalog, queues, defaultStore, clock } = producer
  const checkStore = remember(() => defaultStore.check(), clock)
  const checkKeys = remember(() => requireKeys(producer), clock)
  return async (_request, response) => {
    const checks = await Promise.all([
      check('catalog', () => catalog.query('SELECT 1')),
      check('migrations', () => requireMigrations(catalog)),
      check('redis', () => requireSafeRedis(queues)),
      check('store', checkStore),
      check('keys', checkKeys),
      check('clients', () => requireClients(producer)),
    ])
    const isReady = checks.every(({ ok }) => ok)
    response.status(isReady ? 200 : 503).json({ status: isReady ? 'ready' : 'not ready', checks })
  }
}

async function check(name: string, work: () => Promise<unknown>): Promise<Check> {
  try {
    await inTime(work())
    return { name, ok: true, reason: null }
  } catch (error) {
    const { code, message } = toCofferError(error)
    return { name, ok: false, reason: code === 'INTERNAL' ? `${name} does not answer` : scrub(message) }
  }
}

async function requireMigrations(db: Db): Promise<void> {
  const missing = await missingMigrations(db)
  if (missing.length > 0)
    throw new CofferError('SERVICE_UNAVAILABLE', `the catalog lacks the migrations ${missing.join(', ')}`)
}

/** An evicting Redis would drop doorbells without a word. */
async function requireSafeRedis(queues: Queues): Promise<void> {
  const [queue] = queues.all
  if (!queue) return
  const info = await (await queue.getBackend().client).info()
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? 'unknown'
  if (policy !== 'noeviction')
    throw new CofferError('SERVICE_UNAVAILABLE', `Redis has maxmemory-policy ${policy}, and queues need noeviction`)
}

/** One that was given identities must open what is written now; one without any serves stored forms only, and is ready. */
async function requireKeys(producer: Producer): Promise<void> {
  const { problem } = await keyState(producer)
  if (problem !== null) throw new CofferError('SERVICE_UNAVAILABLE', problem)
}

/** Client programs are on the machines of the workers, which say what they have. Without a worker there is nothing to say. */
async function requireClients({ catalog, settings }: Producer): Promise<void> {
  const workers = await listLiving(catalog, settings.workersDownSeconds)
  const [needed] = await catalog.query(
    `SELECT FROM service_instances WHERE type = 'DATABASE' AND deleted_at IS NULL LIMIT 1`,
  )
  if (!needed || workers.length === 0 || workers.some(({ postgresMajors }) => postgresMajors.length > 0)) return
  throw new CofferError(
    'CLIENT_MISSING',
    'there are databases to back up, and no worker has pg_dump and pg_restore: install postgresql-client on their machines',
  )
}

/** Runs at most once a minute, and once at a time. */
function remember(work: () => Promise<void>, clock: Clock): () => Promise<void> {
  let last: { at: number; result: Promise<void> } | null = null
  return () => {
    const now = clock().getTime()
    if (!last || now - last.at >= REMEMBERED_MS) {
      const result = work()
      result.catch(() => undefined)
      last = { at: now, result }
    }
    return last.result
  }
}

/** Rejects when it takes longer than a person would wait for it. @throws SERVICE_UNAVAILABLE */
export async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new CofferError('SERVICE_UNAVAILABLE', `no answer within ${CHECK_DEADLINE_MS / 1000} s`)),
      CHECK_DEADLINE_MS,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
    work.catch(() => undefined)
  }
}
