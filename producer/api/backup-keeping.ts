import { z } from 'zod'
import { setNotes } from '../../shared/catalog/backup-requests.ts'
import { getBackup, type BackupView } from '../../shared/catalog/backups.ts'
import { deleteBackup, undeleteBackup } from '../../shared/catalog/deletions.ts'
import { holdBackup, releaseBackup, setDeletionDate } from '../../shared/catalog/holds.ts'
import { acknowledgeSize } from '../../shared/catalog/suspects.ts'
import { futureTime, notes, oncePerClock, reason } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { parseBody } from '../requests.ts'
import type { Call, Route } from '../routes.ts'

const Nothing = z.strictObject({})
const Hold = z.strictObject({ reason })
const Deletion = z.strictObject({ reason, force: z.boolean('must be true or false').default(false) })
const changesAt = oncePerClock((clock) =>
  z.strictObject({ notes: notes.optional(), scheduled_for_deletion_at: futureTime(clock).nullable().optional() }),
)

/** What a person decides about a backup, whatever the policy says. */
export function backupKeepingRoutes({ catalog, clock, ringer }: Producer): Route[] {
  const one = '/apps/v3/backups/:uuid/'
  const idOf = ({ params }: Call) => params['uuid'] ?? ''
  const change = (
    method: 'POST' | 'PATCH',
    path: string,
    role: Route['role'],
    work: (call: Call) => Promise<BackupView>,
  ): Route => ({
    method,
    path,
    role,
    async handle(call) {
      const body = await work(call)
      ringer.nudge()
      return { status: 200, body }
    },
  })
  return [
    change('PATCH', one, 'admin', async (call) => {
      const now = clock()
      const { scope } = call.actor
      const { notes: text, scheduled_for_deletion_at: date } = parseBody(changesAt(clock), call)
      if (date !== undefined) await setDeletionDate(catalog, idOf(call), date, scope, now)
      if (text !== undefined) await setNotes(catalog, idOf(call), text, scope)
      return getBackup(catalog, idOf(call), scope)
    }),
    change('POST', `${one}hold/`, 'operator', (call) =>
      holdBackup(catalog, idOf(call), { ...parseBody(Hold, call), by: call.actor.name }, call.actor.scope, clock()),
    ),
    change('POST', `${one}release/`, 'operator', (call) => {
      parseBody(Nothing, call)
      return releaseBackup(catalog, idOf(call), call.actor.scope)
    }),
    change('POST', `${one}acknowledge/`, 'operator', (call) => {
      parseBody(Nothing, call)
      return acknowledgeSize(catalog, idOf(call), call.actor.scope, clock())
    }),
    change('POST', `${one}delete/`, 'admin', (call) =>
      deleteBackup(catalog, idOf(call), parseBody(Deletion, call), call.actor.scope, clock()),
    ),
    change('POST', `${one}undelete/`, 'admin', (call) => {
      parseBody(Nothing, call)
      return undeleteBackup(catalog, idOf(call), call.actor.scope)
    }),
  ]
}
