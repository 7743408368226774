import { z } from 'zod'
import { requestVerifications, type VerificationTarget } from '../../shared/catalog/verification-requests.ts'
import { getVerification, listVerifications } from '../../shared/catalog/verifications.ts'
import { VERIFICATION_LEVELS } from '../../shared/domain/verification.ts'
import { filterText, filterUuid, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const level = z.enum(VERIFICATION_LEVELS, `must be one of ${VERIFICATION_LEVELS.join(', ')}`)
const NewVerification = z
  .strictObject({
    service_instance_backup: uuid.optional(),
    backup: uuid.optional(),
    environment: uuid.optional(),
    level: level.default('checksum'),
  })
  .transform(({ service_instance_backup, backup, environment, level }, context) => {
    const targets: VerificationTarget[] = [
      ...(service_instance_backup === undefined ? [] : [{ serviceInstanceBackup: service_instance_backup }]),
      ...(backup === undefined ? [] : [{ backup }]),
      ...(environment === undefined ? [] : [{ environment }]),
    ]
    const [target] = targets
    if (target && targets.length === 1) return { target, level }
    context.addIssue({
      code: 'custom',
      message: 'must have exactly one of service_instance_backup, backup, environment',
    })
    return z.NEVER
  })
const Filters = {
  service_instance_backup: filterUuid.optional(),
  environment: filterUuid.optional(),
  level: filterText.pipe(level).optional(),
}

/** Asking for a look at what is stored, and what such looks have found. */
export function verificationRoutes({ catalog, clock, ringer }: Producer): Route[] {
  const all = '/apps/v3/verifications/'
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { filters, page } = parseListQuery(Filters, call)
        const { rows, count } = await listVerifications(catalog, {
          scope: call.actor.scope,
          serviceInstanceBackupId: filters.service_instance_backup,
          environmentId: filters.environment,
          level: filters.level,
          page,
        })
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'operator',
      async handle(call) {
        const asked = parseBody(NewVerification, call)
        const by = call.actor.name
        const results = await requestVerifications(catalog, { ...asked, by, scope: call.actor.scope, now: clock() })
        ringer.nudge()
        return { status: 201, body: { results } }
      },
    },
    {
      method: 'GET',
      path: `${all}:uuid/`,
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await getVerification(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
  ]
}
