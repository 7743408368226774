import type { ArchiveEntry } from './rewrite-archive.ts'

const NAME = String.raw`(?:"(?:[^"]|"")+"|[^\s".,;]+)`
const POLICY = new RegExp(
  String.raw`^CREATE POLICY ${NAME} ON ${NAME}(?:\.${NAME})?( AS RESTRICTIVE)?(?: FOR [A-Z]+)?(?: TO (${NAME}(?:, ${NAME})*))?`,
)
const MAPPING = new RegExp(`^CREATE USER MAPPING FOR (${NAME}) SERVER (${NAME})`)
/** Words that name a role without being one. */
const ANYBODY = new Set(['PUBLIC', 'CURRENT_USER', 'SESSION_USER', 'CURRENT_ROLE'])

/** The roles without which the entry can't be created. Owners and grants are none: they are not restored. */
export function rolesNeeded({ kind, definition }: ArchiveEntry): string[] {
  const list =
    kind === 'POLICY' ? POLICY.exec(definition)?.[2] : kind === 'USER MAPPING' ? MAPPING.exec(definition)?.[1] : ''
  const names = list?.match(new RegExp(NAME, 'g')) ?? []
  return names.filter((name) => !ANYBODY.has(name.toUpperCase())).map(unquoted)
}

/** Of a user mapping, which names no dependency on its server; undefined for all else. */
export function serverOf({ kind, definition }: ArchiveEntry): string | undefined {
  const server = kind === 'USER MAPPING' ? MAPPING.exec(definition)?.[2] : undefined
  return server === undefined ? undefined : unquoted(server)
}

const unquoted = (name: string) => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name)

/** Without it rows would be seen by roles that are there. */
export const protectsFrom = ({ kind, definition }: ArchiveEntry): boolean =>
  kind === 'POLICY' && POLICY.exec(definition)?.[1] !== undefined
