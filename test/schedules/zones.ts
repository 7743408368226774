/** Zones whose clocks agree all through these days behave alike: one of each group, by the group's name. */
export function distinctZones(days: readonly Date[]): string[] {
  const groups = new Map<string, string>()
  for (const zone of Intl.supportedValuesOf('timeZone')) {
    const offset = offsetOf(zone)
    const noons = days.map(offset)
    const key = noons.map((minutes, index) => {
      const day = days[index]
      const changes = index > 0 && minutes !== noons[index - 1]
      return changes && day ? halfHoursBefore(day).map(offset).join() : minutes
    })
    if (!groups.has(key.join(' '))) groups.set(key.join(' '), zone)
  }
  return [...groups.values()]
}

const halfHoursBefore = (day: Date) => Array.from({ length: 48 }, (_, n) => new Date(day.getTime() - n * 1_800_000))

/** Minutes between the zone's wall clock and UTC. */
function offsetOf(zone: string): (at: Date) => string {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
  return (at) => format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? ''
}
