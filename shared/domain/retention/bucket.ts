/** From fine to coarse. */
export const PERIODS = ['hour', 'day', 'week', 'month', 'year'] as const
export type Period = (typeof PERIODS)[number]

const DAY_MS = 86_400_000

/**
 * The bucket of which a tier holds one: `2026-03-01T13`, `2026-03-01`, `2026-W09`, `2026-03`, `2026`.
 * @param local.bucketDate YYYY-MM-DD, local
 * @param local.localHour YYYY-MM-DDTHH, local
 */
export function bucketOf(per: Period, local: { bucketDate: string; localHour: string }): string {
  switch (per) {
    case 'hour':
      return local.localHour
    case 'day':
      return local.bucketDate
    case 'week':
      return isoWeek(local.bucketDate)
    case 'month':
      return local.bucketDate.slice(0, 7)
    case 'year':
      return local.bucketDate.slice(0, 4)
  }
}

/** An ISO week belongs to the year of its Thursday: 2027-01-01 lies in 2026-W53. */
function isoWeek(date: string): string {
  const day = Date.parse(`${date}T00:00:00Z`) / DAY_MS
  const daysSinceMonday = (day + 3) % 7
  const thursday = day - daysSinceMonday + 3
  const year = new Date(thursday * DAY_MS).getUTCFullYear()
  const week = Math.floor((thursday - Date.UTC(year, 0, 1) / DAY_MS) / 7) + 1
  return `${String(year)}-W${String(week).padStart(2, '0')}`
}
