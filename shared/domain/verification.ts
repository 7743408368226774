import { z } from 'zod'

/** From weak to strong: each proves all that those before it prove. */
export const VERIFICATION_LEVELS = ['metadata', 'checksum', 'drill'] as const
export type VerificationLevel = (typeof VERIFICATION_LEVELS)[number]

/**
 * `corrupt`: what the store gives back is not what was sealed. `lost`: the store does not have it. `unreadable`: nobody knows, since something
 * that is needed was away. `failed`: the bytes are those that were sealed, and yet it does not hold, or does not become, what was recorded.
 */
export const VERIFICATION_OUTCOMES = ['passed', 'failed', 'unreadable', 'lost', 'corrupt'] as const
export type VerificationOutcome = (typeof VERIFICATION_OUTCOMES)[number]

const days = z.int('must be a whole number of days').min(1, 'must be at least 1').max(3650, 'must be at most 3650')

/** How often a plan's backups are verified by themselves; null: never. */
export const VerificationPolicy = z.strictObject({
  /** Of all sealed ones. */
  metadata: z.strictObject({ every_days: days }).nullable(),
  /** Of every sealed one, oldest verified first, and of an environment no more than so many a day. */
  checksum: z
    .strictObject({ every_days: days, most_per_day: z.int('must be a whole number').min(1, 'must be at least 1') })
    .nullable(),
  /** Of the newest good one of each service instance. */
  drill: z.strictObject({ every_days: days }).nullable(),
})
export type VerificationPolicy = z.infer<typeof VerificationPolicy>

export const DEFAULT_VERIFICATION: VerificationPolicy = {
  metadata: { every_days: 1 },
  checksum: { every_days: 30, most_per_day: 20 },
  drill: { every_days: 7 },
}

/** Of several, the one that wants attention most. */
export function worstOutcome(outcomes: Iterable<VerificationOutcome>): VerificationOutcome {
  return (
    VERIFICATION_OUTCOMES[Math.max(0, ...[...outcomes].map((one) => VERIFICATION_OUTCOMES.indexOf(one)))] ?? 'passed'
  )
}
