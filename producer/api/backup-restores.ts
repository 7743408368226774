import { z } from 'zod'
import { cancelRestore, createRestore, settleRestore } from '../../shared/catalog/restore-requests.ts'
import { getRestore, listRestores, type RestoreView } from '../../shared/catalog/restores.ts'
import type { Scope } from '../../shared/catalog/scope.ts'
import { Selection } from '../../shared/domain/selection.ts'
import { requireReadable, requireRole } from '../auth.ts'
import { list, route, type Asked } from '../define-route.ts'
import { filterUuid, notes, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Restore } from '../replies/restores.ts'
import type { Route } from '../routes.ts'

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
const filters = { backup: filterUuid.optional(), environment: filterUuid.optional() }
type Change = (id: string, scope: Scope, now: Date) => Promise<RestoreView>

export function backupRestoreRoutes({ catalog, ringer }: Producer): Route[] {
  const all = '/apps/v3/backup-restores/'
  const one = `${all}:uuid/`
  const change = (verb: string, summary: string, work: Change): Route =>
    route({
      method: 'POST',
      path: `${one}${verb}/`,
      role: 'operator',
      summary,
      reply: Restore,
      codes: ['CONFLICT'],
      async handle({ id, actor, now }) {
        const restore = await work(id, actor.scope, now)
        ringer.nudge()
        return restore
      },
    })
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists restores, newest first.',
      filters,
      of: Restore,
      rows: ({ actor: { scope }, query, page }) =>
        listRestores(catalog, { scope, backupId: query.backup, environmentId: query.environment, page }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'operator',
      summary: 'Restores a backup, or parts of it.',
      body: NewRestore,
      reply: Restore,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT', 'QUARANTINED', 'CONNECTION_MISSING', 'RESTORE_UNCONFIRMED'],
      handle: create,
    }),
    route({
      method: 'GET',
      path: one,
      role: 'viewer',
      summary: 'Shows a restore.',
      reply: Restore,
      handle: ({ id, actor }) => getRestore(catalog, id, actor.scope),
    }),
    change('cancel', 'Cancels a restore; what can only be finished is finished.', (...asked) =>
      cancelRestore(catalog, ...asked),
    ),
    change('confirm', 'Removes the old state that a restore has kept.', (id, scope) =>
      settleRestore(catalog, id, 'confirm', scope),
    ),
    change('undo', 'Brings the old state back that a restore has kept.', (id, scope) =>
      settleRestore(catalog, id, 'undo', scope),
    ),
  ]

  async function create({ body, actor, now }: Asked<z.infer<typeof NewRestore>, unknown>): Promise<RestoreView> {
    if (!body.safety_backup) requireRole(actor, 'admin', 'restoring without a safety backup')
    await requireReadable(catalog, body.backup, actor)
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
      scope: actor.scope,
      now,
    })
    ringer.nudge()
    return restore
  }
}
