import type { VerificationLevel } from '../domain/verification.ts'
import { CofferError } from '../errors.ts'
import { getBackup } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { getEnvironment } from './environments.ts'
import { ringVerifications } from './outbox.ts'
import type { Scope } from './scope.ts'
import { getServiceInstanceBackup } from './service-instance-backups.ts'
import { newestGood } from './verification-schedule.ts'
import { verificationsById, type VerificationView } from './verifications.ts'

/** What is to be verified: one, all sealed ones of a backup, or the newest good one of each service instance of an environment. */
export type VerificationTarget = { serviceInstanceBackup: string } | { backup: string } | { environment: string }

export interface NewVerification {
  target: VerificationTarget
  level: VerificationLevel
  by: string
  scope: Scope
  now: Date
}

/**
 * Asks for verifications, one for each service-instance backup. One that is already waiting or under way at this level is taken for the
 * one that was asked for. @throws NOT_FOUND, CONFLICT (there is nothing sealed that could be verified)
 */
export function requestVerifications(catalog: Catalog, input: NewVerification): Promise<VerificationView[]> {
  return catalog.transaction(async (tx) => {
    const parts = await partsOf(tx, input)
    const made = await tx.query<{ id: string }>(
      `INSERT INTO verifications (id, environment_id, service_instance_id, service_instance_backup_id, level, trigger, requested_by, queued_at)
       SELECT gen_random_uuid(), b.environment_id, s.service_instance_id, s.id, $2, 'MANUAL', $3, $4
         FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id WHERE s.id = ANY($1::uuid[])
           ON CONFLICT (service_instance_backup_id, level) WHERE state <> 'COMPLETED' AND service_instance_backup_id IS NOT NULL
           DO NOTHING RETURNING id`,
      [parts, input.level, input.by, input.now],
    )
    await ringVerifications(
      tx,
      made.map(({ id }) => id),
    )
    const asked = await tx.query<{ id: string }>(
      `SELECT id FROM verifications WHERE service_instance_backup_id = ANY($1::uuid[]) AND level = $2 AND state <> 'COMPLETED'`,
      [parts, input.level],
    )
    return verificationsById(
      tx,
      asked.map(({ id }) => id),
      input.scope,
    )
  })
}

async function partsOf(tx: Db, { target, scope }: NewVerification): Promise<string[]> {
  if ('environment' in target) {
    const { uuid } = await getEnvironment(tx, target.environment, scope)
    return required(await newestGood(tx, uuid), `environment ${uuid} has no good backup`)
  }
  if ('backup' in target) {
    const { uuid } = await getBackup(tx, target.backup, scope)
    const sealed = await tx.query<{ id: string }>(
      `SELECT id FROM service_instance_backups WHERE backup_id = $1 AND state = 'COMPLETED' AND success IN ('SUCCESS', 'PARTIAL')`,
      [uuid],
    )
    return required(
      sealed.map(({ id }) => id),
      `backup ${uuid} has nothing that can be read`,
    )
  }
  const { uuid, state, success } = await getServiceInstanceBackup(tx, target.serviceInstanceBackup, scope)
  if (state === 'COMPLETED' && (success === 'SUCCESS' || success === 'PARTIAL')) return [uuid]
  throw new CofferError('CONFLICT', `service-instance backup ${uuid} can't be verified: it is ${success ?? state}`)
}

function required(parts: string[], problem: string): string[] {
  if (parts.length === 0) throw new CofferError('CONFLICT', `nothing can be verified: ${problem}`)
  return parts
}
