import { z } from 'zod'
import { setNotes } from '../../shared/catalog/backup-requests.ts'
import { getBackup, type BackupView } from '../../shared/catalog/backups.ts'
import { deleteBackup, undeleteBackup } from '../../shared/catalog/deletions.ts'
import { holdBackup, releaseBackup, setDeletionDate } from '../../shared/catalog/holds.ts'
import { acknowledgeSize } from '../../shared/catalog/suspects.ts'
import { route } from '../define-route.ts'
import { futureTime, notes, reason, timed } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Backup } from '../replies/backups.ts'
import type { Route } from '../routes.ts'

const Hold = z.strictObject({ reason })
const Deletion = z.strictObject({ reason, force: z.boolean('must be true or false').default(false) })
const changesAt = timed((clock) =>
  z.strictObject({ notes: notes.optional(), scheduled_for_deletion_at: futureTime(clock).nullable().optional() }),
)

/** What a person decides about a backup, whatever the policy says. */
export function backupKeepingRoutes({ catalog, ringer }: Producer): Route[] {
  const one = '/apps/v3/backups/:uuid/'
  /** Rings when it is done: a prune may have something to do. */
  const ring = async (change: Promise<BackupView>): Promise<BackupView> => {
    const backup = await change
    ringer.nudge()
    return backup
  }
  return [
    route({
      method: 'PATCH',
      path: one,
      role: 'admin',
      summary: 'Changes the notes of a backup, or when it is deleted.',
      body: changesAt,
      reply: Backup,
      codes: ['CONFLICT', 'HELD'],
      async handle({ id, actor: { scope }, body, now }) {
        const { notes: text, scheduled_for_deletion_at: date } = body
        if (date !== undefined) await setDeletionDate(catalog, id, date, scope, now)
        if (text !== undefined) await setNotes(catalog, id, text, scope)
        return ring(getBackup(catalog, id, scope))
      },
    }),
    route({
      method: 'POST',
      path: `${one}hold/`,
      role: 'operator',
      summary: 'Holds a backup: nothing deletes it until it is released.',
      body: Hold,
      reply: Backup,
      codes: ['CONFLICT'],
      handle: ({ id, actor, body, now }) =>
        ring(holdBackup(catalog, id, { ...body, by: actor.name }, actor.scope, now)),
    }),
    route({
      method: 'POST',
      path: `${one}release/`,
      role: 'operator',
      summary: 'Ends the hold of a backup.',
      reply: Backup,
      codes: ['CONFLICT'],
      handle: ({ id, actor }) => ring(releaseBackup(catalog, id, actor.scope)),
    }),
    route({
      method: 'POST',
      path: `${one}acknowledge/`,
      role: 'operator',
      summary: 'Accepts the size of a backup that was suspect.',
      reply: Backup,
      codes: ['CONFLICT'],
      handle: ({ id, actor, now }) => ring(acknowledgeSize(catalog, id, actor.scope, now)),
    }),
    route({
      method: 'POST',
      path: `${one}delete/`,
      role: 'admin',
      summary: 'Deletes a backup, 24 hours from now.',
      body: Deletion,
      reply: Backup,
      codes: ['CONFLICT', 'HELD', 'GUARD_REFUSED'],
      handle: ({ id, actor, body, now }) => ring(deleteBackup(catalog, id, body, actor.scope, now)),
    }),
    route({
      method: 'POST',
      path: `${one}undelete/`,
      role: 'admin',
      summary: 'Takes a deletion back.',
      reply: Backup,
      codes: ['CONFLICT'],
      handle: ({ id, actor }) => ring(undeleteBackup(catalog, id, actor.scope)),
    }),
  ]
}
