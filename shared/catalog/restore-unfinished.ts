import { raiseAlert, resolveAlert } from './alerts.ts'
import type { Catalog, Db } from './database.ts'

/** The alert about a restore whose workers all died, also the one that was to clean up: its target may be half old and half new. */
export async function raiseUnfinished(tx: Db, id: string, now: Date): Promise<void> {
  const [target] = await tx.query<{ environmentId: string; name: string }>(
    `SELECT e.id AS "environmentId", a.slug || '/' || e.slug || ':' || si.prefix AS name FROM service_instance_restores r
       JOIN service_instances si ON si.id = r.service_instance_id
       JOIN environments e ON e.id = si.environment_id
       JOIN applications a ON a.id = e.application_id
      WHERE r.id = $1 AND si.deleted_at IS NULL`,
    [id],
  )
  if (!target) return
  const { environmentId, name } = target
  const message = `every worker of restore ${id} died, the last while cleaning up: ${name} may be half restored. The next restore into it makes it whole first`
  await raiseAlert(tx, { kind: 'restore-unfinished', subject: id, environmentId, message }, now)
}

/** Restores into a service instance that have ended and may have left it half restored, oldest first. */
export async function listUnfinishedRestores(db: Db, serviceInstanceId: string): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT id FROM service_instance_restores
      WHERE service_instance_id = $1 AND state = 'COMPLETED' AND may_have_leftovers ORDER BY ended_at, id`,
    [serviceInstanceId],
  )
  return rows.map(({ id }) => id)
}

/** Its target is whole again, and the alert resolved. An old state that lies beside it after all can be confirmed or undone from now on. */
export const recordRecovered = (
  catalog: Catalog,
  id: string,
  { state, now }: { state: 'as-before' | 'restored'; now: Date },
): Promise<void> =>
  catalog.transaction(async (tx) => {
    await tx.query(
      `UPDATE service_instance_restores SET may_have_leftovers = false,
              kept = $2 AND coalesce((preflight ->> 'keeps_old_state')::boolean, false)
        WHERE id = $1 AND state = 'COMPLETED' AND may_have_leftovers`,
      [id, state === 'restored'],
    )
    await resolveAlert(tx, { kind: 'restore-unfinished', subject: id }, now)
  })
