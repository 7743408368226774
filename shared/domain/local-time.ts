const formats = new Map<string, Intl.DateTimeFormat>()

/** Date, hour and minute on the wall of a time zone: `2026-03-29T03:30`. @throws RangeError for a zone that the runtime doesn't know */
export function localTime(at: Date, timezone: string): string {
  const parts = new Map(
    formatFor(timezone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  )
  const [year = '', month = '', day = '', hour = '', minute = ''] = ['year', 'month', 'day', 'hour', 'minute'].map(
    (type) => parts.get(type as Intl.DateTimeFormatPartTypes),
  )
  return `${year.padStart(4, '0')}-${month}-${day}T${hour}:${minute}`
}

/** `2026-03-29` */
export const localDate = (at: Date, timezone: string): string => localTime(at, timezone).slice(0, 10)

/** `2026-03-29T03` */
export const localHour = (at: Date, timezone: string): string => localTime(at, timezone).slice(0, 13)

function formatFor(timezone: string): Intl.DateTimeFormat {
  const known = formats.get(timezone)
  if (known) return known
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
  formats.set(timezone, format)
  return format
}
