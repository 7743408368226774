import type { z } from 'zod'
import { getBackup, type BackupView } from '../../shared/catalog/backups.ts'
import { getRestore, type RestoreView } from '../../shared/catalog/restores.ts'
import { listServiceInstanceBackups } from '../../shared/catalog/service-instance-backups.ts'
import type { Scope } from '../../shared/catalog/scope.ts'
import { events } from '../define-route.ts'
import type { Producer } from '../producer.ts'
import { WatchedBackup } from '../replies/backups.ts'
import { Restore } from '../replies/restores.ts'
import type { Route } from '../routes.ts'
import { followUntilEnded } from '../server-events.ts'

const MOST_SIBLINGS = 1_000

/** Server-sent events: how far a backup or a restore is, as soon as it changes, until it has ended. */
export function progressRoutes({ catalog, stopping }: Producer): Route[] {
  const untilStopped = (signal: AbortSignal) => AbortSignal.any([signal, stopping])
  return [
    events({
      path: '/apps/v3/backups/:uuid/events/',
      role: 'viewer',
      summary: 'Sends how far a backup is: `progress` whenever that changes, and `end` when it has ended.',
      of: WatchedBackup,
      async open({ id, actor: { scope } }) {
        const { uuid } = await getBackup(catalog, id, scope)
        const isOver = ({ state }: BackupView) => !['QUEUED', 'RUNNING'].includes(state)
        return (signal) => followUntilEnded(() => readBackup(uuid, scope), isOver, untilStopped(signal))
      },
    }),
    events({
      path: '/apps/v3/backup-restores/:uuid/events/',
      role: 'viewer',
      summary: 'Sends how far a restore is, in the same way.',
      of: Restore,
      async open({ id, actor: { scope } }) {
        const { uuid } = await getRestore(catalog, id, scope)
        const isOver = ({ finished }: RestoreView) => finished
        return (signal) => followUntilEnded(() => getRestore(catalog, uuid, scope), isOver, untilStopped(signal))
      },
    }),
  ]

  async function readBackup(uuid: string, scope: Scope): Promise<z.infer<typeof WatchedBackup>> {
    const backup = await getBackup(catalog, uuid, scope)
    const page = { limit: MOST_SIBLINGS, offset: 0 }
    const { rows } = await listServiceInstanceBackups(catalog, { scope, backupId: uuid, page })
    return { ...backup, service_instance_backup_details: rows }
  }
}
