/** How many of the last good ones say what is usual. */
const USUAL_FROM = 5
const LIKE_SIZED_SUCCESSORS = 3

/** A sealed backup of one service instance. Plain size in bytes. */
export interface SealedSize {
  id: string
  plainSize: number
  /** Its size had collapsed, and nobody and nothing has cleared it since. */
  isSuspect: boolean
}

/** The median of the last good ones if this size is under half of it, else null. @param before newest first */
export function collapsedFrom(plainSize: number, before: readonly SealedSize[]): number | null {
  const usual = before
    .filter(({ isSuspect }) => !isSuspect)
    .slice(0, USUAL_FROM)
    .map((sealed) => sealed.plainSize)
    .sort((a, b) => a - b)
  const median = usual[Math.floor(usual.length / 2)]
  return median !== undefined && plainSize < median / 2 ? median : null
}

/**
 * Ids that the newest one clears, itself included: when three like-sized ones in a row have followed a suspect one, that is the size now.
 * @param sealed newest first, the suspect ones at its head
 */
export function clearedBySuccessors(sealed: readonly SealedSize[]): string[] {
  const firstUsual = sealed.findIndex(({ isSuspect }) => !isSuspect)
  const suspects = firstUsual === -1 ? sealed : sealed.slice(0, firstUsual)
  const first = suspects[LIKE_SIZED_SUCCESSORS]
  if (!first) return []
  const isLike = ({ plainSize }: SealedSize) => plainSize >= first.plainSize / 2 && plainSize <= first.plainSize * 2
  return suspects.slice(0, LIKE_SIZED_SUCCESSORS).every(isLike) ? suspects.filter(isLike).map(({ id }) => id) : []
}
