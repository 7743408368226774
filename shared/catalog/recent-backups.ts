import type { Outcome, State } from '../domain/states.ts'
import type { VerificationLevel } from '../domain/verification.ts'
import { VERIFIED_OF_ALL } from './backups.ts'
import type { Db } from './database.ts'
import type { Scope } from './scope.ts'

/** A backup as a person looks at it: with names, and how far its runs are. Sizes in bytes; `size` is stored. */
export interface RecentBackup {
  uuid: string
  application: string
  environment: string
  state: State
  success: Outcome | null
  notes: string
  created_at: Date
  size: number | null
  plain_bytes: number | null
  /** null: not known for each of its runs. */
  expected_bytes: number | null
  /** The weakest that all its sealed parts have passed. */
  verified: { level: VerificationLevel; at: string } | null
  corrupt: boolean
  /** The latest error of its runs that did not succeed, at least until now. */
  problem: string | null
}

/** Newest first. */
export function listRecentBackups(db: Db, scope: Scope, limit: number): Promise<RecentBackup[]> {
  return db.query<RecentBackup>(
    `SELECT b.id AS uuid, a.slug AS application, e.slug AS environment, b.state, b.success, b.notes, b.created_at,
            s.size, s.plain_bytes, s.expected_bytes, s.verified, s.corrupt, p.problem
       FROM backups b
       JOIN environments e ON e.id = b.environment_id
       JOIN applications a ON a.id = e.application_id
      CROSS JOIN LATERAL (
              SELECT sum(stored_size)::bigint AS size, sum((progress->>'plain_bytes')::bigint)::bigint AS plain_bytes,
                     CASE WHEN bool_and(progress->>'expected_bytes' IS NOT NULL)
                          THEN sum((progress->>'expected_bytes')::bigint)::bigint END AS expected_bytes,
                     ${VERIFIED_OF_ALL} AS verified, coalesce(bool_or(corrupt_at IS NOT NULL), false) AS corrupt
                FROM service_instance_backups WHERE backup_id = b.id) s
       LEFT JOIN LATERAL (
              SELECT coalesce(error->>'message', error->>'code') AS problem
                FROM service_instance_backups, jsonb_array_elements(errors) error
               WHERE backup_id = b.id AND success IS DISTINCT FROM 'SUCCESS' AND state <> 'DELETED'
               ORDER BY error->>'at' DESC LIMIT 1) p ON true
      WHERE $1::uuid IS NULL OR a.organisation_id = $1
      ORDER BY b.created_at DESC, b.id LIMIT $2`,
    [scope.organisationId, limit],
  )
}
