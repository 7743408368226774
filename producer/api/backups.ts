import { z } from 'zod'
import { cancelBackup, retryBackup } from '../../shared/catalog/backup-requests.ts'
import { createBackup, getBackup, listBackups } from '../../shared/catalog/backups.ts'
import { STATES } from '../../shared/domain/states.ts'
import { backupFilter, backupFilters } from '../backup-filters.ts'
import { list, route } from '../define-route.ts'
import { filterOf, filterUuid, futureTime, notes, timed, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Backup } from '../replies/backups.ts'
import type { Route } from '../routes.ts'

const newBackup = timed((clock) =>
  z.strictObject({
    environment: uuid,
    services: z.array(uuid, 'must be a list of UUIDs').max(1000, 'must be at most 1000').optional(),
    trigger: z.literal('MANUAL', 'must be MANUAL').default('MANUAL'),
    notes: notes.default(''),
    scheduled_for_deletion_at: futureTime(clock).nullable().default(null),
  }),
)
const filters = {
  environment: filterUuid.optional(),
  state: filterOf(STATES).optional(),
  ...backupFilters,
}

export function backupRoutes({ catalog, ringer, settings: { maxTries } }: Producer): Route[] {
  const all = '/apps/v3/backups/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists backups, newest first.',
      filters,
      of: Backup,
      rows: ({ actor: { scope }, query, page }) =>
        listBackups(catalog, {
          scope,
          environmentId: query.environment,
          state: query.state,
          ...backupFilter(query),
          page,
        }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'operator',
      summary: 'Backs an environment up: all of its service instances, or some.',
      body: newBackup,
      reply: Backup,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT', 'CONNECTION_MISSING'],
      async handle({ body, actor: { scope }, now }) {
        const backup = await createBackup(catalog, {
          environmentId: body.environment,
          services: body.services,
          trigger: body.trigger,
          notes: body.notes,
          scheduledForDeletionAt: body.scheduled_for_deletion_at,
          maxTries,
          scope,
          now,
        })
        ringer.nudge()
        return backup
      },
    }),
    route({
      method: 'GET',
      path: one,
      role: 'viewer',
      summary: 'Shows a backup.',
      reply: Backup,
      handle: ({ id, actor }) => getBackup(catalog, id, actor.scope),
    }),
    route({
      method: 'POST',
      path: `${one}retry/`,
      role: 'operator',
      summary: 'Runs again what failed of a backup, or was cancelled.',
      reply: Backup,
      codes: ['CONFLICT', 'CONNECTION_MISSING'],
      async handle({ id, actor, now }) {
        const backup = await retryBackup(catalog, id, actor.scope, { maxTries, now })
        ringer.nudge()
        return backup
      },
    }),
    route({
      method: 'POST',
      path: `${one}cancel/`,
      role: 'operator',
      summary: 'Ends what waits or runs of a backup.',
      reply: Backup,
      codes: ['CONFLICT'],
      async handle({ id, actor, now }) {
        const backup = await cancelBackup(catalog, id, actor.scope, now)
        ringer.nudge()
        return backup
      },
    }),
  ]
}
