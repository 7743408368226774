import { route } from '../define-route.ts'
import { Me } from '../replies/access.ts'
import type { Route } from '../routes.ts'

export function meRoutes(): Route[] {
  return [
    route({
      method: 'GET',
      path: '/iam/v3/me/',
      role: 'viewer',
      summary: 'Shows whose the token is.',
      reply: Me,
      handle: ({ actor }) =>
        Promise.resolve({
          // Divio's clients read the first four; a token has a name and no address.
          uuid: actor.tokenId,
          email: '',
          first_name: actor.name,
          last_name: '',
          role: actor.role,
          organisation: actor.scope.organisationId,
        }),
    }),
  ]
}
