import type { ArchiveEntry } from './rewrite-archive.ts'

/** Of a schema that belongs to whoever owns the database. */
const NOBODY = 'pg_database_owner'

/** What no restore carries over of the objects that it makes, a line for each kind. */
export function notCarried(entries: readonly ArchiveEntry[]): string[] {
  const count = (kind: string) => entries.filter((entry) => entry.kind === kind).length
  const [grants, defaults] = [count('ACL'), count('DEFAULT ACL')]
  const owners = namesOf(entries.map(({ owner }) => owner)).filter((owner) => owner !== NOBODY)
  const tablespaces = namesOf(entries.map(({ tablespace }) => tablespace))
  return [
    ...(grants > 0 ? [`grants and revocations on ${grants} object(s): give and revoke them again`] : []),
    ...(defaults > 0 ? [`${defaults} default privilege(s): alter them again`] : []),
    ...(owners.length > 1 ? [`the owners ${owners.join(', ')}: all belongs to one role`] : []),
    ...(tablespaces.length > 0 ? [`the tablespaces ${tablespaces.join(', ')}: all lies where the database does`] : []),
  ]
}

const namesOf = (names: readonly (string | null)[]): string[] =>
  [...new Set(names.filter((name) => name !== null))].toSorted()
