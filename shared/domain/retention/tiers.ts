import { bucketOf } from './bucket.ts'
import { isPinned, newestFirst, splitByCount, type RetentionInput } from './input.ts'
import type { Tier } from './policy.ts'

/**
 * Where the cascade left a backup.
 * `seated`: it is the one of its bucket. `beaten`: another one is, in the tier that it was in or in the one that it overflowed into.
 * `outnumbered`: newer ones take all places, and there is nowhere to move on to.
 */
export interface Placement {
  fate: 'seated' | 'beaten' | 'outnumbered'
  tier: Tier
  bucket: string
}

/**
 * Grandfather-father-son by count: what overflows a tier, oldest first, moves into the next if its bucket there is free.
 * Reads no clock, so that an outage of any length moves nothing. The fate of good ones depends on good ones alone.
 */
export function cascade(tiers: readonly Tier[], backups: readonly RetentionInput[]): Map<RetentionInput, Placement> {
  const placements = new Map<RetentionInput, Placement>()
  const indexOfLabel = new Map(tiers.map(({ label }, index) => [label, index]))
  const residents = Map.groupBy(backups, ({ label }) => (label === null ? 0 : (indexOfLabel.get(label) ?? 0)))
  let arrivals: RetentionInput[] = []
  for (const [index, tier] of tiers.entries()) {
    const place = (backup: RetentionInput, fate: Placement['fate']) =>
      placements.set(backup, { fate, tier, bucket: bucketOf(tier.per, backup) })
    const { seated, beaten } = seat(tier, residents.get(index) ?? [], arrivals)
    const { staying, leaving } = splitByCount(seated, tier.keep)
    const isLast = index === tiers.length - 1
    for (const backup of beaten) place(backup, 'beaten')
    for (const backup of staying) place(backup, 'seated')
    for (const backup of leaving) place(backup, 'outnumbered')
    arrivals = isLast ? [] : leaving.filter((backup) => !isPinned(backup)).reverse()
  }
  return placements
}

/** One for each bucket: of those that are in the tier already the best and newest; of those that arrive the first, unless a later one is better. */
function seat(
  tier: Tier,
  residents: readonly RetentionInput[],
  arrivals: readonly RetentionInput[],
): { seated: Iterable<RetentionInput>; beaten: RetentionInput[] } {
  const seats = new Map<string, RetentionInput>()
  const beaten: RetentionInput[] = []
  for (const backup of [...residents.toSorted(newestFirst), ...arrivals]) {
    const bucket = bucketOf(tier.per, backup)
    const sitting = seats.get(bucket)
    if (sitting && worth(sitting) >= worth(backup)) {
      beaten.push(backup)
    } else {
      if (sitting) beaten.push(sitting)
      seats.set(bucket, backup)
    }
  }
  return { seated: seats.values(), beaten }
}

function worth(backup: RetentionInput): number {
  return (backup.standing === 'good' ? 2 : 0) + (backup.siblingsGood ? 1 : 0)
}
