import { z } from 'zod'
import { createRestore, getRestore, listRestores } from '../../shared/catalog/restores.ts'
import { filterUuid, notes, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const part = z.strictObject({ service_instance_backup: uuid, service_instance: uuid.optional() })
const NewRestore = z.strictObject({
  backup: uuid,
  service_instance_restores: z
    .array(part, 'must be a list of {"service_instance_backup": …}')
    .min(1, 'must have at least one')
    .max(1000, 'must be at most 1000')
    .refine(
      (parts) => new Set(parts.map((one) => one.service_instance_backup)).size === parts.length,
      'must not name a service-instance backup twice',
    ),
  notes: notes.default(''),
})

export function backupRestoreRoutes({ catalog, clock, ringer }: Producer): Route[] {
  const all = '/apps/v3/backup-restores/'
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { filters, page } = parseListQuery({ backup: filterUuid.optional() }, call)
        const filter = { scope: call.actor.scope, backupId: filters.backup, page }
        const { rows, count } = await listRestores(catalog, filter)
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'operator',
      async handle(call) {
        const body = parseBody(NewRestore, call)
        const restore = await createRestore(catalog, {
          backupId: body.backup,
          targets: body.service_instance_restores.map((one) => ({
            serviceInstanceBackupId: one.service_instance_backup,
            serviceInstanceId: one.service_instance,
          })),
          notes: body.notes,
          scope: call.actor.scope,
          now: clock(),
        })
        ringer.nudge()
        return { status: 201, body: restore }
      },
    },
    {
      method: 'GET',
      path: `${all}:uuid/`,
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await getRestore(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
  ]
}
