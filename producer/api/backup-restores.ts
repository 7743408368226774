import { z } from 'zod'
import { cancelRestore, createRestore, settleRestore } from '../../shared/catalog/restore-requests.ts'
import { getRestore, listRestores, type RestoreView } from '../../shared/catalog/restores.ts'
import { Selection } from '../../shared/domain/selection.ts'
import { requireRole } from '../auth.ts'
import { filterUuid, notes, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Reply, Route } from '../routes.ts'

const part = z.strictObject({
  service_instance_backup: uuid,
  service_instance: uuid.optional(),
  selection: Selection.optional(),
})
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
  confirm: z.string('must be the name of the target: application/environment').max(200).optional(),
  safety_backup: z.boolean('must be true or false').default(true),
})
const Nothing = z.strictObject({})
const filters = { backup: filterUuid.optional(), environment: filterUuid.optional() }

export function backupRestoreRoutes({ catalog, clock, ringer }: Producer): Route[] {
  const all = '/apps/v3/backup-restores/'
  const one = `${all}:uuid/`
  const idOf = ({ params }: Call) => params['uuid'] ?? ''
  const change = (verb: string, work: (call: Call) => Promise<RestoreView>): Route => ({
    method: 'POST',
    path: `${one}${verb}/`,
    role: 'operator',
    async handle(call) {
      parseBody(Nothing, call)
      const body = await work(call)
      ringer.nudge()
      return { status: 200, body }
    },
  })
  return [
    { method: 'GET', path: all, role: 'viewer', handle: list },
    { method: 'POST', path: all, role: 'operator', handle: create },
    {
      method: 'GET',
      path: one,
      role: 'viewer',
      handle: async (call) => ({ status: 200, body: await getRestore(catalog, idOf(call), call.actor.scope) }),
    },
    change('cancel', (call) => cancelRestore(catalog, idOf(call), call.actor.scope, clock())),
    change('confirm', (call) => settleRestore(catalog, idOf(call), 'confirm', call.actor.scope)),
    change('undo', (call) => settleRestore(catalog, idOf(call), 'undo', call.actor.scope)),
  ]

  async function list(call: Call): Promise<Reply> {
    const { filters: given, page } = parseListQuery(filters, call)
    const { rows, count } = await listRestores(catalog, {
      scope: call.actor.scope,
      backupId: given.backup,
      environmentId: given.environment,
      page,
    })
    return listReply(call, page, count, rows)
  }

  async function create(call: Call): Promise<Reply> {
    const body = parseBody(NewRestore, call)
    if (!body.safety_backup) requireRole(call.actor, 'admin', 'restoring without a safety backup')
    const restore = await createRestore(catalog, {
      backupId: body.backup,
      targets: body.service_instance_restores.map((wanted) => ({
        serviceInstanceBackupId: wanted.service_instance_backup,
        serviceInstanceId: wanted.service_instance,
        selection: wanted.selection,
      })),
      notes: body.notes,
      confirm: body.confirm,
      safetyBackup: body.safety_backup,
      scope: call.actor.scope,
      now: clock(),
    })
    ringer.nudge()
    return { status: 201, body: restore }
  }
}
