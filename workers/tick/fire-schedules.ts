import { raiseAlert } from '../../shared/catalog/alerts.ts'
import { insertBackup } from '../../shared/catalog/backups.ts'
import type { Db } from '../../shared/catalog/database.ts'
import { claimOccurrence, endWaitingBackups, linkOccurrence, recordMissed } from '../../shared/catalog/occurrences.ts'
import { advanceSchedule, dueSchedules, lockDueSchedule, type DueSchedule } from '../../shared/catalog/schedules.ts'
import { CofferError } from '../../shared/errors.ts'
import { dueSince, nextDue, timetableOf } from '../../shared/schedules/due-times.ts'
import { runError } from '../run-error.ts'
import type { BellJob, WorkerContext } from '../run-processor.ts'

/** A backup that begins so long after its due time is marked late. */
const LATE_MS = 10 * 60_000
const AT_ONCE = 4

export type FiringContext = Pick<WorkerContext, 'catalog' | 'config' | 'clock' | 'log'>

/** The bell of a schedule only makes us look: the catalog says whether it is due. @returns what became of it, for Bull Board */
export async function processTick(context: WorkerContext, { data }: BellJob): Promise<string> {
  const backup = await fireSchedule(context, data.id)
  context.ringer.nudge()
  return backup === null ? 'nothing to do: it is not due, or another was faster' : `backup ${backup} was made`
}

/** Fires every schedule that is due, also where no bell rang. One that fails doesn't stop the others. @returns how many backups were made */
export async function fireDueSchedules(context: FiringContext): Promise<number> {
  const due = (await dueSchedules(context.catalog, context.clock())).values()
  let made = 0
  const fireRest = async () => {
    for (const id of due)
      try {
        if ((await fireSchedule(context, id)) !== null) made++
      } catch (error) {
        context.log.error({ schedule: id, err: error }, 'a schedule could not be fired; the others are')
      }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, fireRest))
  return made
}

/**
 * Decides everything of the schedule that has come due, in one transaction: the newest due time gets a backup, those before it are
 * missed, and what still waits from an earlier one is ended. May be called any number of times, also at once.
 * @returns the backup's id; null when there is nothing to make
 */
export async function fireSchedule({ catalog, config, clock, log }: FiringContext, id: string): Promise<string | null> {
  const now = clock()
  const made = await catalog.transaction(async (tx) => {
    const schedule = await lockDueSchedule(tx, id, now)
    if (!schedule) return null
    const timetable = timetableOf(schedule.rule, schedule.environment)
    const { newest, missed } = dueSince(timetable, schedule.next_due_at, now)
    const backup = schedule.has_services
      ? await decide(tx, schedule, { newest, missed, now }, config.COFFER_MAX_TRIES)
      : null
    await advanceSchedule(tx, id, { lastDue: newest, next: nextDue(timetable, now) })
    return backup === null ? null : { backup, schedule: schedule.title, due_at: newest, missed: missed.length }
  })
  if (made) log.info(made, 'a scheduled backup was made')
  return made?.backup ?? null
}

interface ComeDue {
  newest: Date
  missed: Date[]
  now: Date
}

async function decide(
  tx: Db,
  schedule: DueSchedule,
  { newest, missed, now }: ComeDue,
  maxTries: number,
): Promise<string | null> {
  if (!(await claimOccurrence(tx, schedule.id, newest, now))) return null
  const waited = await endWaitingBackups(tx, schedule.id, missedError(schedule, newest, now), now)
  await recordMissed(tx, schedule.id, missed, now)
  if (missed.length + waited.length > 0) await alertMissed(tx, schedule, [...waited, ...missed], now)
  const backup = await insertBackup(tx, {
    environmentId: schedule.environment.id,
    trigger: 'SCHEDULED',
    occurrence: { scheduleId: schedule.id, dueAt: newest, late: now.getTime() - newest.getTime() > LATE_MS },
    notes: '',
    scheduledForDeletionAt: null,
    maxTries,
    scope: { organisationId: null },
    now,
  })
  await linkOccurrence(tx, schedule.id, newest, backup)
  return backup
}

const missedError = ({ title }: DueSchedule, newest: Date, now: Date) =>
  runError(
    new CofferError('RUN_MISSED', `no worker took it up before ${newest.toISOString()}, when ${title} was due again`),
    0,
    now,
  )

async function alertMissed(
  tx: Db,
  { id, title, environment }: DueSchedule,
  dueTimes: Date[],
  now: Date,
): Promise<void> {
  const oldest = new Date(Math.min(...dueTimes.map(Number)))
  const message = `${title}: ${dueTimes.length} due time(s) passed without a backup, the first at ${oldest.toISOString()}`
  await raiseAlert(tx, { kind: 'missed', subject: id, environmentId: environment.id, message }, now)
}
