import { quoteIdentifier, type Session } from './session.ts'
import pg from 'pg'

interface Properties {
  owner: string
  tablespace: string
  connectionLimit: number
  isTemplate: boolean
  /** Null: nothing was ever granted or revoked. */
  grants: { grantee: string | null; privilege: string; isGrantable: boolean }[] | null
}

interface Setting {
  /** Null: for every role. */
  role: string | null
  name: string
  value: string
  /** From when it can be set, as pg_settings calls it; null for a name that no loaded module knows. */
  context: string | null
}

/** What pg_dump does not hold of a database, and a database that takes its place must get. */
export async function readProperties(session: Session, name: string): Promise<Properties> {
  const { rows } = await session.query<Properties>(PROPERTIES, [name])
  if (!rows[0]) throw new Error(`pg_database does not list ${name}`)
  return rows[0]
}

/**
 * Gives the database `to` the owner, grants, settings and limits of the database `from`, all but its name, comment and tablespace.
 *
 * @returns the settings that the session's role may not make, each with why
 */
export async function carryOverProperties(session: Session, from: string, to: string): Promise<string[]> {
  const { owner, connectionLimit, isTemplate, grants } = await readProperties(session, from)
  const database = quoteIdentifier(to)
  await session.query(`ALTER DATABASE ${database} OWNER TO ${quoteIdentifier(owner)}`)
  await session.query(`ALTER DATABASE ${database} CONNECTION LIMIT ${connectionLimit} IS_TEMPLATE ${isTemplate}`)
  if (grants) {
    await session.query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC, ${quoteIdentifier(owner)}`)
    for (const { grantee, privilege, isGrantable } of grants) {
      const to = grantee === null ? 'PUBLIC' : quoteIdentifier(grantee)
      await session.query(
        `GRANT ${privilege} ON DATABASE ${database} TO ${to}${isGrantable ? ' WITH GRANT OPTION' : ''}`,
      )
    }
  }
  const missing: string[] = []
  for (const setting of await listSettings(session, from)) {
    const refusal = await setOn(session, database, setting)
    if (refusal !== null) missing.push(describeRefusal(setting, refusal))
  }
  return missing
}

/** What `carryOverProperties` could not do as this role. */
export async function listUncarriable(session: Session, name: string): Promise<string[]> {
  const { rows } = await session.query<{ isSuperuser: boolean; mayAlterRoles: boolean; self: string }>(
    `SELECT rolsuper AS "isSuperuser", rolsuper OR rolcreaterole AS "mayAlterRoles", rolname AS self
       FROM pg_catalog.pg_roles WHERE rolname = current_user`,
  )
  const { isSuperuser = false, mayAlterRoles = false, self = '' } = rows[0] ?? {}
  return (await listSettings(session, name)).flatMap((setting) => {
    if (!isSuperuser && setting.context?.startsWith('superuser')) {
      return [describeRefusal(setting, 'only a superuser can set it')]
    }
    if (!mayAlterRoles && setting.role !== null && setting.role !== self) {
      return [describeRefusal(setting, 'only a role with CREATEROLE can set it')]
    }
    return []
  })
}

/** Takes back every setting that was made of a database itself, or of a role in it. */
export async function resetSettings(session: Session, name: string): Promise<void> {
  const database = quoteIdentifier(name)
  await session.query(`ALTER DATABASE ${database} RESET ALL`)
  const roles = new Set((await listSettings(session, name)).map(({ role }) => role))
  for (const role of roles)
    if (role !== null) await session.query(`ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${database} RESET ALL`)
}

async function listSettings(session: Session, database: string): Promise<Setting[]> {
  const { rows } = await session.query<Setting>(SETTINGS, [database])
  return rows
}

/** @returns why the server refused it, or null */
async function setOn(
  session: Session,
  database: string,
  { role, name, value, context }: Setting,
): Promise<string | null> {
  const subject =
    role === null ? `ALTER DATABASE ${database}` : `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${database}`
  const parameter = name.split('.').map(quoteIdentifier).join('.')
  await session.query('BEGIN')
  try {
    if (context?.endsWith('backend')) {
      await session.query(`${subject} SET ${parameter} TO ${pg.escapeLiteral(value)}`)
    } else {
      // By way of the session: only so is the list of a search_path taken as it is kept.
      await session.query('SELECT pg_catalog.set_config($1, $2, true)', [name, value])
      await session.query(`${subject} SET ${parameter} FROM CURRENT`)
    }
    await session.query('COMMIT')
    return null
  } catch (error) {
    await session.query('ROLLBACK')
    return error instanceof Error ? error.message : String(error)
  }
}

function describeRefusal({ role, name, value }: Setting, why: string): string {
  const whose = role === null ? 'of the database' : `of the role ${role} in the database`
  return `the setting ${name} = ${value} ${whose}: ${why}`
}

const PROPERTIES = `
  SELECT pg_catalog.pg_get_userbyid(d.datdba) AS owner, t.spcname AS tablespace, d.datconnlimit AS "connectionLimit",
         d.datistemplate AS "isTemplate",
         CASE WHEN d.datacl IS NOT NULL THEN (
           SELECT coalesce(json_agg(json_build_object(
                    'grantee', CASE WHEN grantee <> 0 THEN pg_catalog.pg_get_userbyid(grantee) END,
                    'privilege', privilege_type, 'isGrantable', is_grantable)), '[]')
             FROM pg_catalog.aclexplode(d.datacl)) END AS grants
    FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
   WHERE d.datname = $1`

const SETTINGS = `
  SELECT CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole) END AS role,
         split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value, p.context
    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
   CROSS JOIN unnest(s.setconfig) AS entry
    LEFT JOIN pg_catalog.pg_settings p ON p.name = split_part(entry, '=', 1)
   WHERE d.datname = $1`
