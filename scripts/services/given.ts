import { Redis } from 'ioredis'
import { Client } from 'pg'
import { CofferError } from '../../shared/errors.ts'

/** Keys looked at in a given Redis before it is believed to be ours. */
const KEYS_LOOKED_AT = 100_000

/** @throws CofferError CONFIG_INVALID for a database that does not answer, or holds tables that are not Coffer's. */
export async function checkGivenDatabase(name: string, url: string): Promise<void> {
  const client = openClient(name, url)
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
export async function checkGivenRedis(name: string, url: string): Promise<void> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 5_000 })
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    const policy = /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory'))?.[1] ?? 'noeviction'
    if (policy !== 'noeviction') {
      const problem = `the Redis at ${placeOf(url)} may throw jobs away: its maxmemory-policy is ${policy}`
      throw refusal(name, `${problem}; set it to noeviction`)
    }
    const foreign = await findForeignKey(redis)
    if (foreign === null) return
    const problem = `the Redis at ${placeOf(url)} holds keys that are not Coffer's, such as ${JSON.stringify(foreign)}`
    throw refusal(name, `${problem}; give it a database number of its own`)
  } catch (error) {
    throw unreachable(name, url, error)
  } finally {
    redis.disconnect()
  }
}

async function findForeignKey(redis: Redis): Promise<string | null> {
  let cursor = '0'
  let seen = 0
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000)
    const foreign = keys.find((key) => !key.startsWith('bull:'))
    if (foreign !== undefined) return foreign.slice(0, 60)
    cursor = next
    seen += keys.length
  } while (cursor !== '0' && seen < KEYS_LOOKED_AT)
  return null
}

function openClient(name: string, url: string): Client {
  try {
    return new Client({ connectionString: url, connectionTimeoutMillis: 5_000 }).on('error', () => undefined)
  } catch (error) {
    throw unreachable(name, url, error)
  }
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

/** The address without user and password. */
function placeOf(url: string): string {
  if (!URL.canParse(url)) return 'an address that is no URL'
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
