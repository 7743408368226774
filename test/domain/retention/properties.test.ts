import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PERIODS } from '../../../shared/domain/retention/bucket.ts'
import { DEFAULT_POLICY, RetentionPolicy } from '../../../shared/domain/retention/policy.ts'
import { planRetention, type RetentionInput } from '../../../shared/domain/retention/plan.ts'
import { POLICY_CLASSES } from '../../../shared/domain/states.ts'
import { backupOf, prune, pruneEach } from './histories.ts'

const HOUR_MS = 3_600_000
const START_MS = Date.UTC(2024, 0, 1)
const HOURS = 24 * 800
const NOW = new Date(START_MS + HOURS * HOUR_MS)
const RUNS = { numRuns: 1_000 }

const age = fc.record({ keep_days: fc.integer({ min: 1, max: 60 }), keep_newest: fc.integer({ min: 1, max: 4 }) })
const policies = fc
  .record({
    tiers: fc
      .subarray([...PERIODS], { minLength: 1 })
      .chain((periods) =>
        fc.tuple(...periods.map((per) => fc.record({ per: fc.constant(per), keep: fc.integer({ min: 1, max: 4 }) }))),
      ),
    on_demand: age,
    safety: age,
  })
  .map(({ tiers, ...ages }) =>
    RetentionPolicy.parse({
      scheduled: { tiers: tiers.map((tier) => ({ ...tier, label: `per-${tier.per}` })) },
      ...ages,
    }),
  )

const hours = fc.integer({ min: 0, max: HOURS })
const mostly = <T>(usual: T, other: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 11 }, { arbitrary: other, weight: 1 })
const sometimes = mostly(false, fc.constant(true))
const date = mostly<Date | null>(
  null,
  hours.map((hour) => new Date(START_MS + (hour + HOURS / 2) * HOUR_MS)),
)
const label = fc.option(fc.constantFrom(...PERIODS.map((per) => `per-${per}`), 'of another policy'))

/** Any state whatever, also those that no history leads to. */
const anyBackup = fc
  .record({
    hour: fc.oneof(hours, fc.integer({ min: HOURS - 60, max: HOURS })),
    given: fc.record({
      policyClass: fc.oneof(fc.constant('scheduled' as const), fc.constantFrom(...POLICY_CLASSES)),
      standing: fc.oneof(
        fc.constant('good' as const),
        fc.constantFrom('good' as const, 'degraded' as const, 'bad' as const),
      ),
      label,
      siblingsGood: fc.boolean(),
      quarantined: fc.boolean(),
      held: sometimes,
      leased: sometimes,
      running: sometimes,
      scheduledForDeletionAt: date,
      deleteRequestedAt: date,
    }),
  })
  .map(({ hour, given: { quarantined, ...given } }) =>
    backupOf(new Date(START_MS + hour * HOUR_MS).toISOString().slice(0, 13), {
      ...given,
      quarantined: quarantined && given.standing === 'bad',
    }),
  )
const anyBackups = fc
  .array(anyBackup, { maxLength: 60, size: 'max' })
  .map((backups) => backups.map((backup, index) => ({ ...backup, id: String(index).padStart(3, '0') })))

/** Good and scheduled, in the order in which they were taken, with nothing special about any. */
const takenBackups = fc
  .uniqueArray(hours, { minLength: 1, maxLength: 120, size: 'max' })
  .map((taken) =>
    taken.sort((a, b) => a - b).map((hour) => backupOf(new Date(START_MS + hour * HOUR_MS).toISOString().slice(0, 13))),
  )

const isAsked = (backup: RetentionInput) =>
  backup.policyClass === 'temporary' || backup.scheduledForDeletionAt !== null || backup.deleteRequestedAt !== null

const byId = (policy: RetentionPolicy, backups: readonly RetentionInput[], now = NOW) =>
  new Map(planRetention(policy, backups, now).map((verdict) => [verdict.id, verdict]))

test('every backup gets one verdict, in its place', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      expect(planRetention(policy, backups, NOW).map(({ id }) => id)).toEqual(backups.map(({ id }) => id))
    }),
    RUNS,
  )
})

const isSafety = ({ policyClass }: RetentionInput) => policyClass === 'safety'

test('the newest good one that is no safety backup never goes by policy', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const good = backups.filter(
        (backup) => backup.standing === 'good' && !backup.running && !isAsked(backup) && !isSafety(backup),
      )
      const newest = Math.max(...good.map(({ at }) => at.getTime()))
      const verdicts = byId(policy, backups)
      const newestOnes = good.filter(({ at }) => at.getTime() === newest).map(({ id }) => verdicts.get(id)?.action)
      if (good.length > 0) expect(newestOnes).toContain('keep')
    }),
    RUNS,
  )
})

test('what is corrupt goes only where a person has asked for it', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const verdicts = byId(policy, backups)
      const quarantined = backups.filter((backup) => backup.quarantined && backup.deleteRequestedAt === null)
      expect(quarantined.filter(({ id }) => verdicts.get(id)?.action !== 'keep')).toEqual([])
    }),
    RUNS,
  )
})

test('nothing held, read or running goes', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const verdicts = byId(policy, backups)
      const still = backups.filter(({ held, leased, running }) => held || leased || running)
      expect(still.filter(({ id }) => verdicts.get(id)?.action !== 'keep')).toEqual([])
    }),
    RUNS,
  )
})

test('no tiers delete nothing scheduled, except what a person dated', () => {
  fc.assert(
    fc.property(anyBackups, (backups) => {
      const verdicts = byId({ ...DEFAULT_POLICY, scheduled: { tiers: [] } }, backups)
      const scheduled = backups.filter((backup) => backup.policyClass === 'scheduled' && !isAsked(backup))
      expect(scheduled.filter(({ id }) => verdicts.get(id)?.action !== 'keep')).toEqual([])
    }),
    RUNS,
  )
})

test('planning on what a plan leaves changes nothing', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const left = prune(policy, backups, NOW)
      expect(prune(policy, left, NOW)).toEqual(left)
    }),
    RUNS,
  )
})

test('the order of the backups does not matter', () => {
  fc.assert(
    fc.property(
      policies,
      anyBackups.chain((backups) =>
        fc.tuple(
          fc.constant(backups),
          fc.shuffledSubarray(backups, { minLength: backups.length, maxLength: backups.length }),
        ),
      ),
      (policy, [backups, shuffled]) => {
        expect(byId(policy, shuffled)).toEqual(byId(policy, backups))
      },
    ),
    RUNS,
  )
})

test('bad and degraded ones change nothing for good ones', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const good = backups.filter(({ standing }) => standing === 'good')
      const among = byId(policy, backups)
      expect(good.map(({ id }) => among.get(id))).toEqual(planRetention(policy, good, NOW))
    }),
    RUNS,
  )
})

test('no other class changes anything for scheduled ones, nor they for others', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const among = byId(policy, backups)
      for (const policyClass of POLICY_CLASSES) {
        const own = backups.filter((backup) => backup.policyClass === policyClass)
        const alone = planRetention(policy, own, NOW).map(({ id, action, label }) => ({ id, action, label }))
        expect(own.map(({ id }) => among.get(id))).toMatchObject(alone)
      }
    }),
    RUNS,
  )
})

test('an outage of any length deletes nothing that is scheduled and can be read', () => {
  fc.assert(
    fc.property(policies, anyBackups, fc.integer({ min: 0, max: 10_000 }), (policy, backups, days) => {
      const left = prune(policy, backups, NOW)
      const later = byId(policy, left, new Date(NOW.getTime() + days * 24 * HOUR_MS))
      const readable = left.filter(
        (backup) => backup.policyClass === 'scheduled' && backup.standing !== 'bad' && !isAsked(backup),
      )
      expect(
        readable.filter(({ id, label }) => later.get(id)?.action !== 'keep' || later.get(id)?.label !== label),
      ).toEqual([])
    }),
    RUNS,
  )
})

test('labels move only forward through the tiers', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const rank = policy.scheduled.tiers.map((tier) => tier.label)
      const after = byId(policy, backups)
      const back = backups.filter(
        ({ id, label }) => label !== null && rank.indexOf(after.get(id)?.label ?? '') < rank.indexOf(label),
      )
      expect(back).toEqual([])
    }),
    RUNS,
  )
})

test('no tier holds more than its count of good ones, nor two of one bucket, unless they are held, read or sheltered', () => {
  fc.assert(
    fc.property(policies, anyBackups, (policy, backups) => {
      const seated = planRetention(policy, backups, NOW).filter(({ rule }) => rule === 'tier')
      const places = seated.map(({ reason }) => reason.replace('becomes', 'is'))
      expect(new Set(places).size).toBe(places.length)
      for (const tier of policy.scheduled.tiers) {
        const inTier = new Set(seated.filter((verdict) => verdict.label === tier.label).map(({ id }) => id))
        const good = backups.filter(({ id, standing }) => inTier.has(id) && standing === 'good')
        expect(good.length).toBeLessThanOrEqual(tier.keep)
        expect(inTier.size).toBeLessThanOrEqual(2 * tier.keep)
      }
    }),
    RUNS,
  )
})

test('a history planned at once ends like one that was pruned after each backup', () => {
  fc.assert(
    fc.property(policies, takenBackups, (policy, taken) => {
      expect(prune(policy, taken, NOW)).toEqual(pruneEach(policy, taken))
    }),
    { numRuns: 300 },
  )
})
