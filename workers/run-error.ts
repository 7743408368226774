import type { RunError } from '../shared/catalog/service-instance-backups.ts'
import type { CofferError } from '../shared/errors.ts'
import { scrub } from '../shared/scrub.ts'

/** A failure as the catalog keeps it and the API shows it. */
export const runError = (error: CofferError, attempt: number, at: Date): RunError => ({
  code: error.code,
  message: scrub(error.message),
  remedy: error.remedy,
  attempt,
  at: at.toISOString(),
})
