import type { Redis } from 'ioredis'
import { Client } from 'pg'
import { CofferError } from '../../shared/errors.ts'
import { QUEUE_NAMES } from '../../shared/queues.ts'
import { withRedis } from './redis-session.ts'

const COFFER_KEY = new RegExp(`^bull:(${QUEUE_NAMES.join('|')}):`)
export const isCofferKey = (key: string): boolean => COFFER_KEY.test(key)
/** Tests have queues of many names. */
export const isTestKey = (key: string): boolean => key.startsWith('bull:')

/** Keys looked at in a given Redis before it is believed to be ours. */
const KEYS_LOOKED_AT = 100_000

/** @throws CofferError CONFIG_INVALID for a database that does not answer, or holds tables that are not Coffer's. */
export async function checkGivenDatabase(name: string, url: string): Promise<void> {
  requireUrl(name, url)
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 10_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<{ table: string; is_coffer: boolean }>(`
      SELECT format('%I.%I', n.nspname, c.relname) AS table,
             to_regclass('public.pgmigrations') IS NOT NULL AND to_regclass('public.organisations') IS NOT NULL AS is_coffer
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
       ORDER BY 1 LIMIT 3`)
    if (rows.length === 0 || rows[0]?.is_coffer === true) return
    const tables = rows.map((row) => row.table).join(', ')
    throw refusal(name, `the database at ${placeOf(url)} is not empty and not Coffer's: it has ${tables}`)
  } catch (error) {
    throw unreachable(name, url, error)
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** @throws CofferError CONFIG_INVALID for a Redis that does not answer, may evict keys, or holds keys that are not Coffer's. */
export async function checkGivenRedis(name: string, url: string, isOurs: (key: string) => boolean): Promise<void> {
  requireUrl(name, url)
  const { policy, foreign } = await withRedis(url, async (redis) => ({
    policy: /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory'))?.[1] ?? 'noeviction',
    foreign: await findForeignKey(redis, isOurs),
  })).catch((error: unknown) => {
    throw unreachable(name, url, error)
  })
  if (policy !== 'noeviction') {
    const problem = `the Redis at ${placeOf(url)} may throw jobs away: its maxmemory-policy is ${policy}`
    throw refusal(name, `${problem}; set it to noeviction`)
  }
  if (foreign !== null) {
    const problem = `the Redis at ${placeOf(url)} holds keys that are not Coffer's, such as ${JSON.stringify(foreign)}`
    throw refusal(name, `${problem}; give it a database number of its own`)
  }
}

async function findForeignKey(redis: Redis, isOurs: (key: string) => boolean): Promise<string | null> {
  let cursor = '0'
  let seen = 0
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000)
    const foreign = keys.find((key) => !isOurs(key))
    if (foreign !== undefined) return foreign.slice(0, 60)
    cursor = next
    seen += keys.length
  } while (cursor !== '0' && seen < KEYS_LOOKED_AT)
  return null
}

function refusal(name: string, problem: string): CofferError {
  return new CofferError('CONFIG_INVALID', `${name}: ${problem}`)
}

function unreachable(name: string, url: string, error: unknown): CofferError {
  if (error instanceof CofferError) return error
  const reason = error instanceof Error ? error.message || error.name : String(error)
  return new CofferError('CONFIG_INVALID', `${name}: nothing usable answers at ${placeOf(url)}: ${reason}`, {
    cause: error,
  })
}

function requireUrl(name: string, url: string): void {
  if (!URL.canParse(url)) throw refusal(name, 'expected an address, scheme://user:password@host:port/name')
}

/** The address without user and password. */
function placeOf(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
