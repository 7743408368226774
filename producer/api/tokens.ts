import { z } from 'zod'
import { getOrganisation } from '../../shared/catalog/organisations.ts'
import { ROLES, createToken, getToken, listTokens, revokeToken } from '../../shared/catalog/tokens.ts'
import { CofferError } from '../../shared/errors.ts'
import { requireWholeInstallation, type Actor } from '../auth.ts'
import { list, route } from '../define-route.ts'
import { futureTime, name, timed, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { MadeToken, Token } from '../replies/access.ts'
import type { Route } from '../routes.ts'

const newToken = timed((clock) =>
  z.strictObject({
    name,
    role: z.enum(ROLES, `must be one of ${ROLES.join(', ')}`),
    organisation: uuid.nullable().optional(),
    expires_at: futureTime(clock).nullable().optional(),
  }),
)

/** Admins make tokens, so none has a higher role than its maker; nor has it a wider scope or a longer life. */
export function tokenRoutes({ catalog }: Producer): Route[] {
  const all = '/apps/v3/tokens/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'admin',
      summary: 'Lists tokens, without their text.',
      of: Token,
      rows: ({ actor: { scope }, page }) => listTokens(catalog, { scope, page }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      summary: 'Makes a token, and shows its text once.',
      isSecret: true,
      body: newToken,
      reply: MadeToken,
      status: 201,
      codes: ['NOT_FOUND'],
      handle: async ({ body, actor, now }) =>
        createToken(catalog, {
          name: body.name,
          role: body.role,
          organisationId: await chosenOrganisation(actor, body.organisation),
          expiresAt: await chosenExpiry(actor, body.expires_at),
          createdBy: actor.tokenId,
          now,
        }),
    }),
    route({
      method: 'GET',
      path: one,
      role: 'admin',
      summary: 'Shows a token, without its text.',
      reply: Token,
      handle: ({ id, actor }) => getToken(catalog, id, actor.scope),
    }),
    route({
      method: 'DELETE',
      path: one,
      role: 'admin',
      summary: 'Revokes a token.',
      reply: null,
      async handle({ id, actor, now }) {
        await revokeToken(catalog, id, actor.scope, now)
      },
    }),
  ]

  async function chosenOrganisation(actor: Actor, asked: string | null | undefined): Promise<string | null> {
    if (asked === undefined) return actor.scope.organisationId
    if (asked !== null) return (await getOrganisation(catalog, asked, actor.scope)).uuid
    requireWholeInstallation(actor, 'a token without an organisation')
    return null
  }

  async function chosenExpiry(actor: Actor, asked: Date | null | undefined): Promise<Date | null> {
    const { expires_at: own } = await getToken(catalog, actor.tokenId, actor.scope)
    if (asked === undefined || own === null) return asked ?? own
    if (asked !== null && asked <= own) return asked
    throw new CofferError(
      'FORBIDDEN',
      `a token can't outlive the one that makes it: "${actor.name}" expires at ${own.toISOString()}`,
    )
  }
}
