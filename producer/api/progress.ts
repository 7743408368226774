import { getBackup, type BackupView } from '../../shared/catalog/backups.ts'
import { getRestore } from '../../shared/catalog/restores.ts'
import {
  listServiceInstanceBackups,
  type ServiceInstanceBackupView,
} from '../../shared/catalog/service-instance-backups.ts'
import type { Scope } from '../../shared/catalog/scope.ts'
import type { Producer } from '../producer.ts'
import type { Route } from '../routes.ts'
import { followUntilEnded } from '../server-events.ts'

const MOST_SIBLINGS = 1_000

type WatchedBackup = BackupView & { service_instance_backup_details: ServiceInstanceBackupView[] }

/** Server-sent events: how far a backup or a restore is, as soon as it changes, until it has ended. */
export function progressRoutes({ catalog, stopping }: Producer): Route[] {
  const untilStopped = (signal: AbortSignal) => AbortSignal.any([signal, stopping])
  return [
    {
      method: 'GET',
      path: '/apps/v3/backups/:uuid/events/',
      role: 'viewer',
      async handle({ params, actor: { scope } }) {
        const { uuid } = await getBackup(catalog, params['uuid'] ?? '', scope)
        const isOver = ({ state }: BackupView) => !['QUEUED', 'RUNNING'].includes(state)
        return {
          status: 200,
          events: (signal) => followUntilEnded(() => readBackup(uuid, scope), isOver, untilStopped(signal)),
        }
      },
    },
    {
      method: 'GET',
      path: '/apps/v3/backup-restores/:uuid/events/',
      role: 'viewer',
      async handle({ params, actor: { scope } }) {
        const { uuid } = await getRestore(catalog, params['uuid'] ?? '', scope)
        return {
          status: 200,
          events: (signal) =>
            followUntilEnded(
              () => getRestore(catalog, uuid, scope),
              ({ finished }) => finished,
              untilStopped(signal),
            ),
        }
      },
    },
  ]

  async function readBackup(uuid: string, scope: Scope): Promise<WatchedBackup> {
    const backup = await getBackup(catalog, uuid, scope)
    const page = { limit: MOST_SIBLINGS, offset: 0 }
    const { rows } = await listServiceInstanceBackups(catalog, { scope, backupId: uuid, page })
    return { ...backup, service_instance_backup_details: rows }
  }
}
