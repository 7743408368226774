import { setImmediate } from 'node:timers/promises'
import { localHour } from '../domain/local-time.ts'
import { newestFirst } from '../domain/retention/input.ts'
import type { RetentionPolicy } from '../domain/retention/policy.ts'
import type { PolicyClass } from '../domain/states.ts'
import { planInstance, type KeptBackup } from './plan-instance.ts'

const DAY_MS = 86_400_000
const STEPS_AT_ONCE = 16

/** A backup as it is at the end of a simulation. */
export interface SimulatedEnd {
  id: string
  /** null: simulated. */
  backup: string | null
  at: Date
  bucket_date: string
  policy_class: PolicyClass
  label: string | null
  rule: string
  reason: string
  until: Date | null
}

interface Going {
  id: string
  backup: string
  at: Date
  label: string | null
  goes_at: Date
  rule: string
  reason: string
}

export interface Simulation {
  now: Date
  days: number
  /** In order. A backup is taken at each and a prune follows; where there are none, a prune comes once a day. */
  dueTimes: readonly Date[]
  timezone: string
}

/** Takes and prunes one service instance's backups as the next days would. Pure; lets others have their turn now and then. */
export async function simulate(
  policy: RetentionPolicy,
  backups: readonly KeptBackup[],
  { now, days, dueTimes, timezone }: Simulation,
): Promise<{ kept: SimulatedEnd[]; going: Going[] }> {
  const end = new Date(now.getTime() + days * DAY_MS)
  const going: Going[] = []
  const simulated = new Set<string>()
  let present = [...backups]
  const prune = (when: Date) => {
    const plan = planInstance(policy, present, when)
    for (const { action, backup, label, rule, reason } of plan) {
      if (action === 'keep' || simulated.has(backup.id)) continue
      going.push({ id: backup.id, backup: backup.backupId, at: backup.at, label, goes_at: when, rule, reason })
    }
    present = plan.filter(({ action }) => action === 'keep').map(({ backup, label }) => ({ ...backup, label }))
  }
  prune(now)
  const steps = dueTimes.length > 0 ? dueTimes : daily(now, days)
  for (const [step, due] of steps.entries()) {
    if (step % STEPS_AT_ONCE === 0) await setImmediate()
    if (dueTimes.length > 0) {
      const taken = backupAt(due, timezone)
      simulated.add(taken.id)
      present.push(taken)
    }
    prune(due)
  }
  const kept = planInstance(policy, present.sort(newestFirst), end).map(({ backup, label, rule, reason, until }) => ({
    id: backup.id,
    backup: simulated.has(backup.id) ? null : backup.backupId,
    at: backup.at,
    bucket_date: backup.bucketDate,
    policy_class: backup.policyClass,
    label,
    rule,
    reason,
    until,
  }))
  return { kept, going }
}

const daily = (now: Date, days: number): Date[] =>
  Array.from({ length: days }, (_, day) => new Date(now.getTime() + (day + 1) * DAY_MS))

function backupAt(at: Date, timezone: string): KeptBackup {
  const hour = localHour(at, timezone)
  const id = `simulated-${at.toISOString()}`
  return {
    id,
    backupId: id,
    policyClass: 'scheduled',
    standing: 'good',
    label: null,
    at,
    bucketDate: hour.slice(0, 10),
    localHour: hour,
    siblingsGood: true,
    quarantined: false,
    held: false,
    leased: false,
    running: false,
    scheduledForDeletionAt: null,
    deleteRequestedAt: null,
    deleteForced: false,
    badSince: null,
    unverified: false,
  }
}
