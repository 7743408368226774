import { z } from 'zod'
import { requestVerifications, type VerificationTarget } from '../../shared/catalog/verification-requests.ts'
import { getVerification, listVerifications } from '../../shared/catalog/verifications.ts'
import { VERIFICATION_LEVELS } from '../../shared/domain/verification.ts'
import { list, route } from '../define-route.ts'
import { filterOf, filterUuid, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { RequestedVerifications, Verification } from '../replies/verifications.ts'
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
  level: filterOf(VERIFICATION_LEVELS).optional(),
}

/** Asking for a look at what is stored, and what such looks have found. */
export function verificationRoutes({ catalog, ringer }: Producer): Route[] {
  const all = '/apps/v3/verifications/'
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists verifications, newest first.',
      filters: Filters,
      of: Verification,
      rows: ({ actor: { scope }, query, page }) =>
        listVerifications(catalog, {
          scope,
          serviceInstanceBackupId: query.service_instance_backup,
          environmentId: query.environment,
          level: query.level,
          page,
        }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'operator',
      summary: 'Verifies what is stored of a service-instance backup, a backup or an environment.',
      body: NewVerification,
      reply: RequestedVerifications,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT'],
      async handle({ body, actor: { name: by, scope }, now }) {
        const results = await requestVerifications(catalog, { ...body, by, scope, now })
        ringer.nudge()
        return { results }
      },
    }),
    route({
      method: 'GET',
      path: `${all}:uuid/`,
      role: 'viewer',
      summary: 'Shows a verification, with what it found.',
      reply: Verification,
      handle: ({ id, actor }) => getVerification(catalog, id, actor.scope),
    }),
  ]
}
