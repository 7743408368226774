import type { Route } from '../routes.ts'

export function meRoutes(): Route[] {
  return [
    {
      method: 'GET',
      path: '/iam/v3/me/',
      role: 'viewer',
      handle: ({ actor }) =>
        Promise.resolve({
          status: 200,
          // Divio's clients read the first four; a token has a name and no address.
          body: {
            uuid: actor.tokenId,
            email: '',
            first_name: actor.name,
            last_name: '',
            role: actor.role,
            organisation: actor.scope.organisationId,
          },
        }),
    },
  ]
}
