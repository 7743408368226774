import { resolve } from 'node:path'
import { z } from 'zod'
import { CofferError } from './errors.ts'

const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  )

const seconds = (fallback: number) =>
  z.coerce.number('a number of seconds').positive('a number of seconds above 0').default(fallback)
const count = (fallback: number) =>
  z.coerce.number('a whole number').int('a whole number').positive('a whole number above 0').default(fallback)

const url = (schemes: string) =>
  z
    .string(`an address (${schemes})`)
    .refine(
      (text) => URL.canParse(text) && schemes.split(', ').some((scheme) => text.startsWith(scheme)),
      `an address that begins with ${schemes}`,
    )

const folder = z
  .string()
  .min(1)
  .transform((path) => resolve(path))

/** What every process needs. The names are DESIGN §10's. */
const Common = z.object({
  COFFER_DATABASE_URL: url('postgres://, postgresql://'),
  COFFER_REDIS_URL: url('redis://, rediss://'),
  COFFER_STORAGE_URL: url('file://, s3://'),
  COFFER_DATA_DIR: folder,
  /** Several, separated by commas: the first signs and encrypts, all of them verify and decrypt. */
  COFFER_SECRET_KEY: z
    .string('32 random bytes in base64')
    .refine(
      (text) => text.split(',').every((key) => Buffer.from(key, 'base64').length === 32),
      '32 random bytes in base64 (openssl rand -base64 32)',
    ),
  COFFER_AGE_RECIPIENTS: list.refine(
    (keys) => keys.every((key) => /^age1[0-9a-z]{58}$/.test(key)),
    'public keys that begin with age1, separated by commas',
  ),
  COFFER_AGE_IDENTITY_FILE: folder.optional(),
  COFFER_MEDIA_ROOTS: list.transform((paths) => paths.map((path) => resolve(path))),
  COFFER_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  COFFER_MAX_TRIES: count(5),
})

const Producer = Common.extend({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: z.coerce.number('a port number').int().min(0).max(65535, 'a port number up to 65535').default(8200),
  COFFER_ADMIN_TOKEN: z.string().min(32, 'at least 32 characters').optional(),
  COFFER_LINK_SECONDS: seconds(86_400),
  /** Whether Coffer backs up its own catalog, as the environment `coffer/catalog`. */
  COFFER_CATALOG_BACKUP: z.enum(['on', 'off'], 'on or off').default('on'),
  /** How long an upload waits to be sent and finished. */
  COFFER_UPLOAD_SECONDS: seconds(86_400),
  /** The largest upload, as it is sent and as it unpacks. */
  COFFER_UPLOAD_MAX_BYTES: count(1_099_511_627_776),
  /** Of one token, by each producer. */
  COFFER_REQUESTS_PER_MINUTE: count(12_000),
  COFFER_CREATIONS_PER_MINUTE: count(600),
})

const Worker = Common.extend({
  /** A server that drills may make databases on. Without it, no database is drilled. */
  COFFER_DRILL_DATABASE_URL: url('postgres://, postgresql://').optional(),
  /** Where drills of media are extracted to; by default `scratch` in the data folder. */
  COFFER_SCRATCH_DIR: folder.optional(),
  COFFER_WORKER_CONCURRENCY: count(2),
  /** A run that has not shown life for so long may be settled and taken over. */
  COFFER_LEASE_SECONDS: seconds(60),
  /** A run that moves no bytes for so long is ended. */
  COFFER_WATCHDOG_SECONDS: seconds(600),
  /** The longest a run may take, or three times the last good one's duration if that is more. */
  COFFER_DEADLINE_SECONDS: seconds(21_600),
  COFFER_RETRY_SECONDS: seconds(30),
  COFFER_RECONCILE_SECONDS: seconds(15),
  COFFER_SWEEP_SECONDS: seconds(3_600),
  /** Objects and pending uploads that belong to no attempt are deleted when they are older than this. */
  COFFER_ORPHAN_SECONDS: z.coerce.number('a number of seconds').nonnegative('a number of seconds').default(172_800),
  /** How long SIGTERM waits for runs to put themselves back in the queue. */
  COFFER_STOP_SECONDS: seconds(25),
})

export type CommonConfig = Readonly<z.infer<typeof Common>>
export type ProducerConfig = Readonly<z.infer<typeof Producer>>
export type WorkerConfig = Readonly<z.infer<typeof Worker>>

type Environment = Readonly<Record<string, string | undefined>>

export const loadProducerConfig = (env: Environment): ProducerConfig => parse(Producer, env)
export const loadWorkerConfig = (env: Environment): WorkerConfig => parse(Worker, env)

/** @throws CONFIG_INVALID that lists every problem at once: the variable's name and what is expected. Never its value. */
function parse<Schema extends z.ZodObject>(schema: Schema, env: Environment): Readonly<z.infer<Schema>> {
  // A variable that is set to nothing is one that is not set.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = schema.safeParse(given)
  if (parsed.success) return Object.freeze(parsed.data)
  const problems = parsed.error.issues.map(({ path, message }) => {
    const name = String(path[0])
    return `${name}: ${name in given ? '' : 'is missing; '}expected ${message}`
  })
  throw new CofferError(
    'CONFIG_INVALID',
    `the configuration has ${problems.length} problem(s)\n  ${problems.join('\n  ')}`,
    {
      details: { problems },
    },
  )
}
