import { latestBackups } from '../../shared/catalog/latest-backups.ts'
import type { Producer } from '../producer.ts'
import type { Route } from '../routes.ts'

/** What one would restore now. */
export function latestRoutes({ catalog }: Producer): Route[] {
  return [
    {
      method: 'GET',
      path: '/apps/v3/environments/:uuid/latest/',
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await latestBackups(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
  ]
}
