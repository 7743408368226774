import type { Outcome, State } from './states.ts'

/** What a backup is worth: only good ones may push good ones out, degraded ones can still be read, bad ones never count. */
export type Standing = 'good' | 'degraded' | 'bad'

/**
 * @param b.suspect its size collapsed, and nobody and nothing has cleared it since
 * @param b.unverified its manifest does not carry this Coffer's signature, and nobody has accepted it
 * @param b.lost the store no longer has what the catalog says
 */
export function standing(b: {
  state: State
  success: Outcome | null
  corrupt: boolean
  lost: boolean
  suspect: boolean
  unverified: boolean
}): Standing {
  if (b.state !== 'COMPLETED' || b.corrupt || b.lost || b.unverified) return 'bad'
  if (b.success === 'PARTIAL') return 'degraded'
  if (b.success !== 'SUCCESS') return 'bad'
  return b.suspect ? 'degraded' : 'good'
}
