import { getServiceInstanceBackup, listServiceInstanceBackups } from '../../shared/catalog/service-instance-backups.ts'
import { STATES } from '../../shared/domain/states.ts'
import { backupFilter, backupFilters } from '../backup-filters.ts'
import { list, route } from '../define-route.ts'
import { filterOf, filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { ServiceInstanceBackup } from '../replies/backups.ts'
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
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists backups of single service instances, newest first.',
      filters,
      of: ServiceInstanceBackup,
      rows: ({ actor: { scope }, query, page }) =>
        listServiceInstanceBackups(catalog, {
          scope,
          backupId: query.backup,
          environmentId: query.environment,
          serviceInstanceId: query.service_instance,
          state: query.state,
          ...backupFilter(query),
          page,
        }),
    }),
    route({
      method: 'GET',
      path: `${all}:uuid/`,
      role: 'viewer',
      summary: 'Shows the backup of one service instance, with its progress, errors and artifacts.',
      reply: ServiceInstanceBackup,
      handle: ({ id, actor }) => getServiceInstanceBackup(catalog, id, actor.scope),
    }),
  ]
}
