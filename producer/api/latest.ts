import { latestBackups } from '../../shared/catalog/latest-backups.ts'
import { route } from '../define-route.ts'
import type { Producer } from '../producer.ts'
import { Latest } from '../replies/tree.ts'
import type { Route } from '../routes.ts'

/** What one would restore now. */
export function latestRoutes({ catalog }: Producer): Route[] {
  return [
    route({
      method: 'GET',
      path: '/apps/v3/environments/:uuid/latest/',
      role: 'viewer',
      summary: 'Shows the newest good backup of an environment, and of each of its service instances.',
      reply: Latest,
      handle: ({ id, actor }) => latestBackups(catalog, id, actor.scope),
    }),
  ]
}
