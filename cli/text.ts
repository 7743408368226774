// Controls (C0, DEL, C1), line separators, and the characters that reorder what a terminal shows.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

/** One line that a terminal shows as it is: control and bidi characters become visible escapes. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => NAMED[character] ?? escaped(character))
}

/** Indented JSON with the same characters escaped, which JSON allows. */
export function printableJson(document: unknown): string {
  return JSON.stringify(document, null, 2)
    .split('\n')
    .map((line) => line.replace(UNSAFE, escaped))
    .join('\n')
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** 1536 → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  // 1023.95 KiB would be written 1024.0 KiB.
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(1)} ${UNITS[unit] ?? ''}`
}

/** `0.5 of 1.5 MiB`, `512 B of 1.5 KiB`. */
export function formatBytesOf(bytes: number, total: number): string {
  const [part, whole] = [formatBytes(bytes), formatBytes(total)]
  const [number = '', unit] = part.split(' ')
  return `${whole.endsWith(` ${unit ?? ''}`) ? number : part} of ${whole}`
}

const BAR_WIDTH = 8

/** 0.5 → `[####----] 50 %`. */
export function formatShare(share: number): string {
  const full = Math.floor(share * BAR_WIDTH)
  return `[${'#'.repeat(full)}${'-'.repeat(BAR_WIDTH - full)}] ${String(Math.floor(share * 100)).padStart(2)} %`
}

/** 1204, `file` → `1,204 files`. */
export function formatCount(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

/** `2026-08-01T10:20:30.123Z` → `2026-08-01 10:20:30Z`; `-` for what has not happened. */
export function formatTime(iso: string | null | undefined): string {
  if (iso === null || iso === undefined) return '-'
  const date = new Date(iso)
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 19).replace('T', ' ')}Z`
}

const widthOf = (text: string) => Array.from(text).length

/** Aligned columns, the first row being the head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ''))))
  return all.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell)))
      .join('  ')
      .trimEnd(),
  )
}

/** `name: value` lines with the values aligned. */
export function fields(entries: Record<string, string>): string[] {
  const width = Math.max(...Object.keys(entries).map((name) => name.length)) + 1
  return Object.entries(entries).map(([name, value]) => `${`${name}:`.padEnd(width)} ${value}`)
}
