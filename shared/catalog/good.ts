/** That the service-instance backup of this alias is good: what `standing()` says, in SQL. */
export const GOOD = (alias: string): string =>
  `${alias}.state = 'COMPLETED' AND ${alias}.success = 'SUCCESS' AND ${alias}.corrupt_at IS NULL AND ${alias}.lost_at IS NULL
   AND ${alias}.unverified_at IS NULL AND (${alias}.suspect_reason IS NULL OR ${alias}.suspect_cleared_at IS NOT NULL)`
