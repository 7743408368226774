import { z } from 'zod'
import type { Clock } from '../shared/clock.ts'

/** The fields that several resources share, each with the message that a person reads when it is wrong. */

export const uuid = z.guid('must be a UUID').transform((text) => text.toLowerCase())

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

const time = z.iso
  .datetime({ offset: true, error: 'must be a time with offset such as 2030-01-31T12:00:00Z' })
  .transform((text) => new Date(text))

/** A time with its offset, later than now. */
export const futureTime = (clock: Clock) => time.refine((given) => given > clock(), 'must be in the future')

/** A schema that depends on the clock, made once for each: making one costs many times what parsing with it does. */
export function oncePerClock<Schema extends z.ZodType>(make: (clock: Clock) => Schema): (clock: Clock) => Schema {
  const made = new WeakMap<Clock, Schema>()
  return (clock) => {
    const schema = made.get(clock) ?? make(clock)
    made.set(clock, schema)
    return schema
  }
}

/** The digest of a refusal with CONFIRMATION_REQUIRED: that the backups may go which it names. */
export const confirm = z.string('must be text').regex(/^[0-9a-f]{64}$/, 'must be the digest of an earlier refusal')

/** A filter of a list. */
export const filterText = z.string('must be given once')
export const filterUuid = filterText.pipe(uuid)
export const filterTime = filterText.pipe(time)
export const filterOf = <const Words extends readonly string[]>(words: Words) =>
  z.enum(words, `must be one of ${words.join(', ')}`)

function hasNoControls(text: string): boolean {
  return !/\p{Cc}/u.test(text)
}
