import type { Catalog } from '../../shared/catalog/database.ts'
import type { PolicyClass } from '../../shared/domain/states.ts'

const DAY_MS = 86_400_000

/** The rows that good backups of all service instances would have left, one for each age in days, in their order. @returns ids of the backups */
export async function plantBackups(
  catalog: Catalog,
  environmentId: string,
  ages: readonly number[],
  { policyClass = 'scheduled', now = new Date() }: { policyClass?: PolicyClass; now?: Date } = {},
): Promise<string[]> {
  const ids: string[] = []
  for (const age of ages) {
    const at = new Date(now.getTime() - age * DAY_MS)
    const [backup] = await catalog.query<{ id: string }>(
      `INSERT INTO backups (id, environment_id, state, success, trigger, policy_class, bucket_date, created_at, ended_at, due_at)
       VALUES (gen_random_uuid(), $1, 'COMPLETED', 'SUCCESS', CASE $2 WHEN 'scheduled' THEN 'SCHEDULED' ELSE 'MANUAL' END, $2,
               ($3::timestamptz AT TIME ZONE 'UTC')::date, $3, $3, CASE $2 WHEN 'scheduled' THEN $3::timestamptz END) RETURNING id`,
      [environmentId, policyClass, at],
    )
    await catalog.query(
      `INSERT INTO service_instance_backups (id, backup_id, service_instance_id, tries_left, queued_at, state, success, attempt, ended_at)
       SELECT gen_random_uuid(), $1, id, 0, $3, 'COMPLETED', 'SUCCESS', 1, $3 FROM service_instances
        WHERE environment_id = $2 AND deleted_at IS NULL`,
      [backup?.id, environmentId, at],
    )
    ids.push(backup?.id ?? '')
  }
  return ids
}
