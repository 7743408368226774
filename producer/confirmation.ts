import { CofferError } from '../shared/errors.ts'
import type { ChangeOfPlan } from '../shared/retention/preview.ts'

/** A change may delete more than today only for those who have seen what. @throws CONFIRMATION_REQUIRED */
export function requireConfirmation({ deletesMore, digest }: ChangeOfPlan, confirm: string | undefined): void {
  if (deletesMore.length === 0 || confirm === digest) return
  throw new CofferError(
    'CONFIRMATION_REQUIRED',
    `this change would delete ${deletesMore.length} service-instance backup(s) that are kept today`,
    { details: { digest, would_delete: deletesMore } },
  )
}
