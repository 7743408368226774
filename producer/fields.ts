import { z } from 'zod'
import type { Clock } from '../shared/clock.ts'

/** The fields that several resources share, each with the message that a person reads when it is wrong. */

type Message = (issue: { input?: unknown }) => string

const lowerUuid = (error: Message) => z.guid({ error }).transform((text) => text.toLowerCase())
export const uuid = lowerUuid(() => 'must be a UUID')

export const slug = z
  .string('must be text')
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and -, and neither begin nor end with -')

export const prefix = z
  .string('must be text')
  .regex(/^[A-Z0-9][A-Z0-9_]{0,31}$/, 'must be 1 to 32 of A-Z, 0-9 and _, and not begin with _')

export const name = z
  .string('must be text')
  .trim()
  .min(1, 'must not be empty')
  .max(200, 'must be at most 200 characters')
  .refine(hasNoControls, 'must not contain control characters')

export const notes = z
  .string('must be text')
  .max(4096, 'must be at most 4096 characters')
  .refine((text) => !text.includes('\0'), 'must not contain NUL')

/** Why a person does something; it is kept and shown. */
export const reason = z
  .string('must say why')
  .trim()
  .min(1, 'must say why')
  .max(500, 'must be at most 500 characters')
  .refine(hasNoControls, 'must not contain control characters')

/** An IANA time zone, as Intl writes it: `europe/zurich` is Europe/Zurich. */
export const timezone = z.string('must be text').transform((text, context) => {
  try {
    if (/^[A-Za-z]/.test(text)) return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
  } catch {
    // Falls through to the issue.
  }
  context.addIssue({ code: 'custom', message: 'must be an IANA time zone such as Europe/Zurich' })
  return z.NEVER
})

const TIME_WANTED = 'must be a time with offset such as 2030-01-31T12:00:00Z'
const timeOr = (error: Message) => z.iso.datetime({ offset: true, error }).transform((text) => new Date(text))

/** A time with its offset, later than now. */
export const futureTime = (clock: Clock) =>
  timeOr(() => TIME_WANTED).refine((given) => given > clock(), 'must be in the future')

/**
 * A schema that depends on the time, made once: making one costs many times what parsing with it does. Parse with what it gives at once,
 * since the next call moves its time.
 */
export function timed<Schema extends z.ZodType>(make: (clock: Clock) => Schema): (now: Date) => Schema {
  let time = new Date(0)
  let made: Schema | null = null
  return (now) => {
    time = now
    return (made ??= make(() => time))
  }
}

/** The digest of a refusal with CONFIRMATION_REQUIRED: that the backups may go which it names. */
export const confirm = z.string('must be text').regex(/^[0-9a-f]{64}$/, 'must be the digest of an earlier refusal')

/** What a query has twice is a list. */
const once =
  (message: string) =>
  ({ input }: { input?: unknown }) =>
    typeof input === 'string' ? message : 'must be given once'

/** A filter of a list. */
export const filterText = z.string('must be given once').refine((text) => !text.includes('\0'), 'must not contain NUL')
export const filterUuid = lowerUuid(once('must be a UUID'))
export const filterTime = timeOr(once(TIME_WANTED))
export const filterOf = <const Words extends readonly string[]>(words: Words) =>
  z.enum(words, { error: once(`must be one of ${words.join(', ')}`) })

/** A whole number in a query. */
export const filterNumber = (min: number, max: number, usual: number) =>
  z
    .string('must be given once')
    .regex(/^(0|[1-9]\d{0,8})$/, `must be a whole number from ${min}`)
    .transform(Number)
    .refine((value) => value >= min, `must be a whole number from ${min}`)
    .refine((value) => value <= max, `must be at most ${max}`)
    .default(usual)
    .meta({ type: 'integer', minimum: min, maximum: max, default: usual })

function hasNoControls(text: string): boolean {
  return !/\p{Cc}/u.test(text)
}
