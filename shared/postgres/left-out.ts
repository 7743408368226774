import type { ExtensionFate } from './extensions.ts'
import { notCarried } from './not-carried.ts'
import { protectsFrom, rolesNeeded, serverOf } from './role-needs.ts'
import type { ArchiveContents, ArchiveEntry } from './rewrite-archive.ts'

/** What the place that is restored into already has or allows. The role itself is never a superuser. */
export interface Place {
  extensions: ReadonlyMap<string, ExtensionFate>
  /** Schemas that were made beforehand for extensions to lie in. */
  schemas?: ReadonlySet<string>
  /** The role may comment on the schema public. */
  ownsPublic: boolean
  /** All of the server. */
  roles: ReadonlySet<string>
}

export interface Restorable {
  /** What pg_restore is given. */
  entries: ArchiveEntry[]
  /** What is there already: not restored, and still to be found afterwards. */
  present: ArchiveEntry[]
  /** What is not restored and will be missing, each with why. */
  leftOut: string[]
  /** What can't be missed: tables and others that need what is left out. */
  findings: string[]
}

const SUPERUSER_ONLY = 'only a superuser can create it'

/** What is there of these, a superuser has made: no restore makes or drops it. */
export const SUPERUSER_KINDS: ReadonlySet<string> = new Set([
  ...['EVENT TRIGGER', 'FOREIGN DATA WRAPPER', 'PUBLICATION TABLES IN SCHEMA', 'ACCESS METHOD', 'TRANSFORM'],
  ...['OPERATOR CLASS', 'OPERATOR FAMILY', 'TEXT SEARCH PARSER', 'TEXT SEARCH TEMPLATE', 'SHELL TYPE'],
])

/** What may go with what it needs; anything else that needs what is left out stands against the restore. */
const MINOR_KINDS = new Set([
  ...['COMMENT', 'SECURITY LABEL', 'SERVER', 'USER MAPPING', 'FOREIGN TABLE', 'PUBLICATION TABLE', 'ACL'],
  ...['PUBLICATION TABLES IN SCHEMA', 'DEFAULT ACL', 'OPERATOR CLASS'],
])

/**
 * Parts an archive, or a choice of its entries, into what a role that is no superuser can restore, what is there already, and what is left
 * out. `all` are the entries of the whole archive.
 */
export function partArchive(
  { entries }: ArchiveContents,
  place: Place,
  all: readonly ArchiveEntry[] = entries,
): Restorable {
  const parted: Restorable = { entries: [], present: [], leftOut: [], findings: [] }
  const isOwnTable = ownTables(all)
  const leftOut = new Map<number, string>()
  const titles = new Set<string>()
  for (const entry of entries) {
    const roles = rolesNeeded(entry)
    const missing = roles.filter((role) => !place.roles.has(role))
    const needed = entry.dependencies.find((id) => leftOut.has(id))
    const why =
      whyLeftOut(entry, place) ??
      (isCommentOnAny(entry, titles) ? 'what it describes is left out' : null) ??
      (titles.has(`SERVER ${serverOf(entry) ?? ''}`) ? 'its server is left out' : null) ??
      (missing.length > 0 ? `the server lacks the role ${missing.join(', ')}` : null)
    if (why === null && isPresent(entry, place, isOwnTable)) {
      parted.present.push(entry)
      if (entry.hasData) parted.leftOut.push(`${titleOf(entry)}: rows that an extension keeps`)
    } else if (why === null && needed === undefined) parted.entries.push(entry)
    else {
      const title = titleOf(entry)
      leftOut.set(entry.dumpId, title)
      titles.add(title)
      const reason = why ?? `it needs ${leftOut.get(needed ?? 0) ?? ''}, which is left out`
      const isMissed = protectsFrom(entry) && missing.length < roles.length
      if ((why !== null && !isMissed) || MINOR_KINDS.has(entry.kind)) parted.leftOut.push(`${title}: ${reason}`)
      else parted.findings.push(`${title} can't be restored: ${reason}`)
    }
  }
  parted.leftOut.push(...notCarried(parted.entries))
  return parted
}

function whyLeftOut(entry: ArchiveEntry, place: Place): string | null {
  const { kind, name, definition } = entry
  if (SUPERUSER_KINDS.has(kind)) return SUPERUSER_ONLY
  if (kind === 'EXTENSION') {
    const fate = place.extensions.get(name)
    if (fate === 'forbidden') return SUPERUSER_ONLY
    return fate === 'unavailable' ? 'the server lacks it' : null
  }
  if (kind === 'SUBSCRIPTION') return 'two databases with the same subscription would take the changes from each other'
  if (kind === 'PUBLICATION' && /\bFOR ALL TABLES\b/.test(definition)) {
    return 'only a superuser can publish all tables'
  }
  if (/^(FUNCTION|PROCEDURE|AGGREGATE)$/.test(kind)) {
    const needs = superuserNeeds(definition)
    if (needs !== null) return `${SUPERUSER_ONLY} ${needs}`
  }
  if (kind === 'CAST' && (/ WITHOUT FUNCTION/.test(definition) || !/^CREATE CAST \([^)]*\./.test(definition))) {
    return SUPERUSER_ONLY
  }
  if (kind === 'COMMENT' && name === 'SCHEMA public' && !place.ownsPublic) return 'the schema belongs to another role'
  return null
}

/** What only a superuser may give to a function. Its body comes after. */
function superuserNeeds(definition: string): string | null {
  const [head = ''] = definition.split(/^ {4}AS |^BEGIN ATOMIC/m)
  const language = /^ {4}LANGUAGE (\S+)/m.exec(head)?.[1]
  if (language === 'c' || language === 'internal') return `in the language ${language}`
  if (/ LEAKPROOF$| LEAKPROOF /m.test(head)) return 'as leakproof'
  return /^ {4}SET session_replication_role /m.test(head) ? 'with that setting' : null
}

/** What the place has, and the comments and settings that came with it. */
function isPresent(entry: ArchiveEntry, place: Place, isOwnTable: (entry: ArchiveEntry) => boolean): boolean {
  const { kind, name, dependencies } = entry
  const isThere = (extension: string) => place.extensions.get(extension) === 'present'
  if (kind === 'EXTENSION') return isThere(name)
  if (kind === 'SCHEMA') return place.schemas?.has(name) ?? false
  if (kind === 'COMMENT' && name.startsWith('EXTENSION ')) return isThere(unquote(name.slice('EXTENSION '.length)))
  if (kind !== 'TABLE DATA' || isOwnTable(entry)) return false
  return dependencies.length > 0 && [...place.extensions.values()].includes('present')
}

/** Tables of an extension's own have data in the archive, but no definition. */
function ownTables(entries: readonly ArchiveEntry[]): (entry: ArchiveEntry) => boolean {
  const key = ({ schema, name }: ArchiveEntry) => JSON.stringify([schema, name])
  const tables = new Set(entries.filter(({ kind }) => kind === 'TABLE').map(key))
  return (entry) => tables.has(key(entry))
}

function isCommentOnAny({ kind, name }: ArchiveEntry, titles: ReadonlySet<string>): boolean {
  return kind === 'COMMENT' && (titles.has(name) || titles.has(unquoteTag(name)))
}

/** For the reader, and as the tag of a comment names it. */
export function titleOf({ kind, schema, name }: ArchiveEntry): string {
  return `${kind} ${schema ? `${schema}.` : ''}${name}`
}

const unquoteTag = (tag: string) => tag.replace(/"((?:[^"]|"")*)"$/, (_, name: string) => name.replaceAll('""', '"'))
const unquote = (name: string) => unquoteTag(name)
