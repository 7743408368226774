import pg from 'pg'
import type { Session } from './session.ts'

/** What a dump's manifest tells of how its database sorted and what it took for letters; empty where nobody knows. */
export interface DumpedLocale {
  collate: string
  ctype: string
}

export interface DatabaseLocale extends DumpedLocale {
  /** The operating system's (c), ICU's (i) or PostgreSQL's own (b); null before version 15, which has only the first. */
  provider: 'c' | 'i' | 'b' | null
  /** What the database sorts by in the place of `collate`; null where that is the operating system's. */
  name: string | null
  rules: string | null
}

const INVALID_VALUE = '22023'

export async function readLocale(session: Session, database: string): Promise<DatabaseLocale> {
  const { rows } = await session.query<DatabaseLocale>(LOCALE, [database])
  if (!rows[0]) throw new Error(`pg_database does not list ${database}`)
  return rows[0]
}

/**
 * Clauses of CREATE DATABASE, the best first: the locale of the dump, which is one of the operating system's, before that of the database
 * to be replaced; but where the latter is of another kind, that is what it was made for, and it stays. Then the server's, and what goes
 * with every encoding.
 */
export function localeClauses(dumped: DumpedLocale, replaced: DatabaseLocale | undefined): string[] {
  const provider = replaced?.provider ? 'c' : null
  const ofDump = dumped.collate === '' ? [] : [clauseOf({ ...dumped, provider, name: null, rules: null })]
  const ofReplaced = replaced ? [clauseOf(replaced)] : []
  const known = hasOwnKind(replaced) ? [...ofReplaced, ...ofDump] : [...ofDump, ...ofReplaced]
  return [...known, '', `LC_COLLATE 'C' LC_CTYPE 'C'`]
}

/** What the reader should know where a database has not the locale of the dump. */
export function lostLocale(dumped: DumpedLocale, got: DatabaseLocale): string[] {
  const isSame = spelling(dumped.collate) === spelling(got.collate) && spelling(dumped.ctype) === spelling(got.ctype)
  if (dumped.collate === '' || isSame) return []
  return [`the locale ${ofSystem(dumped)} of the dump: the database sorts by ${describe(got)} instead`]
}

/** The same beforehand, of a database that takes the place of this one. Changes nothing. */
export async function foreseeLostLocale(
  session: Session,
  dumped: DumpedLocale,
  replaced: DatabaseLocale,
): Promise<string[]> {
  const stays = hasOwnKind(replaced) || !(await isKnown(session, dumped))
  return stays ? lostLocale(dumped, replaced) : []
}

const hasOwnKind = (locale: DatabaseLocale | undefined): boolean => (locale?.name ?? null) !== null

/** The server looks a locale up before it takes it for the format of money, for this one statement; nobody needs a right for that. */
async function isKnown(session: Session, { collate, ctype }: DumpedLocale): Promise<boolean> {
  try {
    for (const name of [collate, ctype]) await session.query(`SELECT set_config('lc_monetary', $1, true)`, [name])
    return true
  } catch (error) {
    if ((error as { code?: string }).code === INVALID_VALUE) return false
    throw error
  }
}

function clauseOf({ collate, ctype, provider, name, rules }: DatabaseLocale): string {
  const literal = (text: string | null) => pg.escapeLiteral(text ?? '')
  const system = `LC_COLLATE ${literal(collate)} LC_CTYPE ${literal(ctype)}`
  if (provider === null) return system
  if (provider === 'c') return `LOCALE_PROVIDER libc ${system}`
  if (provider === 'b') return `LOCALE_PROVIDER builtin BUILTIN_LOCALE ${literal(name)} ${system}`
  return `LOCALE_PROVIDER icu ICU_LOCALE ${literal(name)}${rules === null ? '' : ` ICU_RULES ${literal(rules)}`} ${system}`
}

function describe(locale: DatabaseLocale): string {
  if (locale.name === null) return ofSystem(locale)
  return `${locale.name} of ${locale.provider === 'i' ? 'ICU' : 'PostgreSQL'}`
}

const ofSystem = ({ collate, ctype }: DumpedLocale) =>
  collate === ctype ? collate : `${collate} with letters of ${ctype}`

/** The same locale is en_US.UTF-8 to one system and en_US.utf8 to another. */
const spelling = (name: string) => name.replaceAll('-', '').toLowerCase()

// Columns that came with later versions are asked for by way of the row, which has them or not.
const LOCALE = `
  SELECT datcollate AS collate, datctype AS ctype, r->>'datlocprovider' AS provider,
         coalesce(r->>'datlocale', r->>'daticulocale') AS name, r->>'daticurules' AS rules
    FROM pg_catalog.pg_database d CROSS JOIN LATERAL pg_catalog.to_jsonb(d) AS r WHERE d.datname = $1`
