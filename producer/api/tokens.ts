import { z } from 'zod'
import { getOrganisation } from '../../shared/catalog/organisations.ts'
import { ROLES, createToken, getToken, listTokens, revokeToken } from '../../shared/catalog/tokens.ts'
import { CofferError } from '../../shared/errors.ts'
import { requireWholeInstallation, type Actor } from '../auth.ts'
import { futureTime, name, oncePerClock, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Route } from '../routes.ts'

const newToken = oncePerClock((clock) =>
  z.strictObject({
    name,
    role: z.enum(ROLES, `must be one of ${ROLES.join(', ')}`),
    organisation: uuid.nullable().optional(),
    expires_at: futureTime(clock).nullable().optional(),
  }),
)

/** Admins make tokens, so none has a higher role than its maker; nor has it a wider scope or a longer life. */
export function tokenRoutes({ catalog, clock }: Producer): Route[] {
  const all = '/apps/v3/tokens/'
  const one = `${all}:uuid/`
  const idOf = ({ params }: Call) => params['uuid'] ?? ''
  return [
    {
      method: 'GET',
      path: all,
      role: 'admin',
      async handle(call) {
        const { page } = parseListQuery({}, call)
        const { rows, count } = await listTokens(catalog, { scope: call.actor.scope, page })
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'admin',
      isSecret: true,
      async handle(call) {
        const now = clock()
        const { actor } = call
        const body = parseBody(newToken(clock), call)
        const input = {
          name: body.name,
          role: body.role,
          organisationId: await chosenOrganisation(actor, body.organisation),
          expiresAt: await chosenExpiry(actor, body.expires_at),
          createdBy: actor.tokenId,
          now,
        }
        return { status: 201, body: await createToken(catalog, input) }
      },
    },
    {
      method: 'GET',
      path: one,
      role: 'admin',
      handle: async (call) => ({ status: 200, body: await getToken(catalog, idOf(call), call.actor.scope) }),
    },
    {
      method: 'DELETE',
      path: one,
      role: 'admin',
      async handle(call) {
        await revokeToken(catalog, idOf(call), call.actor.scope, clock())
        return { status: 204 }
      },
    },
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
