import { addDays, keep, remove, showDays, type Decision } from './decision.ts'
import type { RetentionInput } from './input.ts'

const UNDO_DAYS = 1
const BAD_DAYS = 30

/** What a person said about this one, or must say; null: nobody did, its policy class decides. */
export function decideByDate(backup: RetentionInput, now: Date): Decision | null {
  const { label, deleteRequestedAt, scheduledForDeletionAt } = backup
  if (deleteRequestedAt) return decideByRequest(label, deleteRequestedAt, now)
  if (backup.quarantined)
    return keep('quarantined', label, 'It is corrupt: it stays, for people to look into, until a person deletes it.')
  if (scheduledForDeletionAt) {
    const date = show(scheduledForDeletionAt)
    return now >= scheduledForDeletionAt
      ? remove('date_due', label, `Its own deletion date, ${date}, has come.`)
      : keep('date_pending', label, `Its own deletion date is ${date}.`, scheduledForDeletionAt)
  }
  if (backup.policyClass !== 'temporary') return null
  return keep('temporary_without_date', label, 'It is temporary, but has no deletion date.')
}

function decideByRequest(label: string | null, requestedAt: Date, now: Date): Decision {
  const end = addDays(requestedAt, UNDO_DAYS)
  return now >= end
    ? remove('deletion_due', label, `Its deletion was asked for, and could be undone until ${show(end)}.`)
    : keep('deletion_undoable', label, `Its deletion was asked for, and can be undone until ${show(end)}.`, end)
}

/** Of a bad one: it counts nowhere, and stays a while for people to look into. */
export function decideBad(backup: RetentionInput, now: Date): Decision {
  const end = addDays(backup.at, BAD_DAYS)
  return now >= end
    ? remove('bad_expired', backup.label, `It is no usable backup and at least ${showDays(BAD_DAYS)} old.`)
    : keep('bad_recent', backup.label, `It is no usable backup and goes after ${showDays(BAD_DAYS)}.`, end)
}

/** Unlike toISOString, this does not throw on an invalid date. */
function show(date: Date): string {
  return JSON.stringify(date).slice(1, -1)
}
