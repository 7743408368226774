import { z } from 'zod'
import { cancelBackup, retryBackup } from '../../shared/catalog/backup-requests.ts'
import { createBackup, getBackup, listBackups } from '../../shared/catalog/backups.ts'
import { STATES } from '../../shared/domain/states.ts'
import { backupFilter, backupFilters } from '../backup-filters.ts'
import { filterOf, filterUuid, futureTime, notes, oncePerClock, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Reply, Route } from '../routes.ts'

const newBackup = oncePerClock((clock) =>
  z.strictObject({
    environment: uuid,
    services: z.array(uuid, 'must be a list of UUIDs').max(1000, 'must be at most 1000').optional(),
    trigger: z.literal('MANUAL', 'must be MANUAL').default('MANUAL'),
    notes: notes.default(''),
    scheduled_for_deletion_at: futureTime(clock).nullable().default(null),
  }),
)
const Nothing = z.strictObject({})
const filters = {
  environment: filterUuid.optional(),
  state: filterOf(STATES).optional(),
  ...backupFilters,
}

export function backupRoutes({ catalog, clock, ringer, settings: { maxTries } }: Producer): Route[] {
  const all = '/apps/v3/backups/'
  const one = `${all}:uuid/`
  return [
    { method: 'GET', path: all, role: 'viewer', handle: list },
    { method: 'POST', path: all, role: 'operator', handle: create },
    {
      method: 'GET',
      path: one,
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await getBackup(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
    {
      method: 'POST',
      path: `${one}retry/`,
      role: 'operator',
      async handle(call) {
        parseBody(Nothing, call)
        const { params, actor } = call
        const body = await retryBackup(catalog, params['uuid'] ?? '', actor.scope, { maxTries, now: clock() })
        ringer.nudge()
        return { status: 200, body }
      },
    },
    {
      method: 'POST',
      path: `${one}cancel/`,
      role: 'operator',
      async handle(call) {
        parseBody(Nothing, call)
        const { params, actor } = call
        const body = await cancelBackup(catalog, params['uuid'] ?? '', actor.scope, clock())
        ringer.nudge()
        return { status: 200, body }
      },
    },
  ]

  async function list(call: Call): Promise<Reply> {
    const { filters: given, page } = parseListQuery(filters, call)
    const { rows, count } = await listBackups(catalog, {
      scope: call.actor.scope,
      environmentId: given.environment,
      state: given.state,
      ...backupFilter(given),
      page,
    })
    return listReply(call, page, count, rows)
  }

  async function create(call: Call): Promise<Reply> {
    const now = clock()
    const body = parseBody(newBackup(clock), call)
    const backup = await createBackup(catalog, {
      environmentId: body.environment,
      services: body.services,
      trigger: body.trigger,
      notes: body.notes,
      scheduledForDeletionAt: body.scheduled_for_deletion_at,
      maxTries,
      scope: call.actor.scope,
      now,
    })
    ringer.nudge()
    return { status: 201, body: backup }
  }
}
