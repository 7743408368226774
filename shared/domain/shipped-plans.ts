import type { PlanDefinition } from './plan.ts'
import { DEFAULT_POLICY } from './retention/policy.ts'

/** The plans that every Coffer has from its first start; from then on they are the operator's to change. */
export const SHIPPED_PLANS: readonly PlanDefinition[] = [
  {
    slug: 'default',
    name: 'Daily',
    schedules: [{ name: 'nightly', kind: 'daily', from: '01:00', until: '05:00' }],
    retention: DEFAULT_POLICY,
  },
  {
    slug: 'hourly',
    name: 'Hourly',
    schedules: [{ name: 'hourly', kind: 'cron', cron: '7 * * * *' }],
    retention: {
      ...DEFAULT_POLICY,
      scheduled: { tiers: [{ label: 'hourly', per: 'hour', keep: 24 }, ...DEFAULT_POLICY.scheduled.tiers] },
    },
  },
  { slug: 'none', name: 'On demand only', schedules: [], retention: DEFAULT_POLICY },
]
