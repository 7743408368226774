import { expect, test } from 'vitest'
import { DEFAULT_POLICY, RetentionPolicy } from '../../../shared/domain/retention/policy.ts'

const [daily, weekly, monthly] = DEFAULT_POLICY.scheduled.tiers
const tiersOf = (...tiers: unknown[]) => ({ ...DEFAULT_POLICY, scheduled: { tiers } })
const onDemand = (rule: unknown) => ({ ...DEFAULT_POLICY, on_demand: rule })

test('the default is 7 daily, 4 weekly, 12 monthly, 30 days / 3 on-demand, 7 days / 1 safety, and is valid', () => {
  expect(RetentionPolicy.parse(DEFAULT_POLICY)).toEqual({
    scheduled: {
      tiers: [
        { label: 'daily', per: 'day', keep: 7 },
        { label: 'weekly', per: 'week', keep: 4 },
        { label: 'monthly', per: 'month', keep: 12 },
      ],
    },
    on_demand: { keep_days: 30, keep_newest: 3 },
    safety: { keep_days: 7, keep_newest: 1 },
  })
})

test.each([
  { periods: ['hour', 'day', 'week', 'month', 'year'] },
  { periods: ['year'] },
  { periods: ['hour', 'month'] },
])('tiers per $periods are accepted', ({ periods }) => {
  const tiers = periods.map((per, index) => ({ label: `t${String(index)}`, per, keep: 1 }))
  expect(RetentionPolicy.safeParse(tiersOf(...tiers)).success).toBe(true)
})

test.each<[string, unknown, string, RegExp]>([
  ['no tiers', tiersOf(), 'scheduled.tiers', /at least one tier/],
  ['a tier of nought', tiersOf({ ...daily, keep: 0 }), 'scheduled.tiers.0.keep', />=1/],
  ['a negative count', tiersOf({ ...daily, keep: -7 }), 'scheduled.tiers.0.keep', />=1/],
  ['half a backup', tiersOf({ ...daily, keep: 1.5 }), 'scheduled.tiers.0.keep', /expected int/],
  ['a count in words', tiersOf({ ...daily, keep: '7' }), 'scheduled.tiers.0.keep', /expected number/],
  ['a missing count', tiersOf({ label: 'daily', per: 'day' }), 'scheduled.tiers.0.keep', /expected number/],
  ['no number at all', tiersOf({ ...daily, keep: NaN }), 'scheduled.tiers.0.keep', /NaN/],
  ['an endless count', tiersOf({ ...daily, keep: 1e9 }), 'scheduled.tiers.0.keep', /<=10000/],
  ['an unknown period', tiersOf({ ...daily, per: 'decade' }), 'scheduled.tiers.0.per', /"hour"\|"day"/],
  ['a label in capitals', tiersOf({ ...daily, label: 'Daily' }), 'scheduled.tiers.0.label', /a-z, 0-9/],
  ['an empty label', tiersOf({ ...daily, label: '' }), 'scheduled.tiers.0.label', /a-z, 0-9/],
  ['a label of 33', tiersOf({ ...daily, label: 'd'.repeat(33) }), 'scheduled.tiers.0.label', /1 to 32/],
  ['one label twice', tiersOf(daily, { ...weekly, label: 'daily' }), 'scheduled.tiers.1.label', /daily is used twice/],
  [
    'one period twice',
    tiersOf(daily, { ...daily, label: 'nightly' }),
    'scheduled.tiers.1.per',
    /day is not coarser than day/,
  ],
  ['coarse before fine', tiersOf(weekly, daily, monthly), 'scheduled.tiers.1.per', /day is not coarser than week/],
  ['a typo in a tier', tiersOf({ ...daily, kepe: 7 }), 'scheduled.tiers.0', /"kepe"/],
  ['a typo in the policy', { ...DEFAULT_POLICY, saftey: {} }, '', /"saftey"/],
  ['no scheduled part', { ...DEFAULT_POLICY, scheduled: undefined }, 'scheduled', /expected object/],
  ['negative days', onDemand({ keep_days: -1, keep_newest: 3 }), 'on_demand.keep_days', />=0/],
  ['missing days', onDemand({ keep_newest: 3 }), 'on_demand.keep_days', /expected number/],
  ['a missing newest', onDemand({ keep_days: 30 }), 'on_demand.keep_newest', /expected number/],
  ['an age rule that keeps nothing', onDemand({ keep_days: 0, keep_newest: 0 }), 'on_demand', /both 0/],
  ['nothing', undefined, '', /expected object/],
])('%s is refused with the field and the reason', (_, policy, field, reason) => {
  const { error } = RetentionPolicy.safeParse(policy)
  expect(error?.issues.map(({ path, message }) => ({ path: path.join('.'), message }))).toEqual([
    { path: field, message: expect.stringMatching(reason) as string },
  ])
})

test('all faults of a policy are told at once', () => {
  const { error } = RetentionPolicy.safeParse(tiersOf(monthly, { ...daily, label: 'monthly' }))
  expect(error?.issues.map(({ path }) => path.join('.'))).toEqual(['scheduled.tiers.1.label', 'scheduled.tiers.1.per'])
})
