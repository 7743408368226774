import { getServiceInstanceBackup, listServiceInstanceBackups } from '../../shared/catalog/service-instance-backups.ts'
import { STATES } from '../../shared/domain/states.ts'
import { backupFilter, backupFilters } from '../backup-filters.ts'
import { filterOf, filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const filters = {
  backup: filterUuid.optional(),
  environment: filterUuid.optional(),
  service_instance: filterUuid.optional(),
  state: filterOf(STATES).optional(),
  ...backupFilters,
}

export function serviceInstanceBackupRoutes({ catalog }: Producer): Route[] {
  const all = '/apps/v3/service-instance-backups/'
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { filters: given, page } = parseListQuery(filters, call)
        const { rows, count } = await listServiceInstanceBackups(catalog, {
          scope: call.actor.scope,
          backupId: given.backup,
          environmentId: given.environment,
          serviceInstanceId: given.service_instance,
          state: given.state,
          ...backupFilter(given),
          page,
        })
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'GET',
      path: `${all}:uuid/`,
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await getServiceInstanceBackup(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
  ]
}
