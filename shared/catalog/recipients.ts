import { CofferError } from '../errors.ts'
import type { Catalog, Db } from './database.ts'

/** A public key that backups are, or were, encrypted for. */
export interface RecipientRow {
  recipient: string
  /** null: it was never registered. */
  name: string | null
  created_at: Date | null
  retired_at: Date | null
  /** How many sealed service-instance backups it can read. */
  backups: number
}

/**
 * Whom a new backup is encrypted for: those of the environment and those that were registered, without those that were retired. None
 * at all means that nothing is encrypted, which holds only where nobody ever named one.
 * @param given those of COFFER_AGE_RECIPIENTS
 * @throws CONFIG_INVALID when all of them are retired
 */
export async function recipientsInUse(db: Db, given: readonly string[]): Promise<string[]> {
  const rows = await db.query<Pick<RecipientRow, 'recipient' | 'retired_at'>>(
    'SELECT recipient, retired_at FROM recipients ORDER BY created_at, recipient',
  )
  const retired = new Set(rows.filter((row) => row.retired_at !== null).map((row) => row.recipient))
  const named = new Set([...given, ...rows.map((row) => row.recipient)])
  const inUse = [...named].filter((recipient) => !retired.has(recipient))
  if (inUse.length === 0 && named.size > 0)
    throw new CofferError('CONFIG_INVALID', 'every recipient is retired, so there is nobody to encrypt a backup for')
  return inUse
}

/** Those in use, those that were registered or retired, and those that sealed backups name. */
export const listRecipients = (db: Db, given: readonly string[]): Promise<RecipientRow[]> =>
  db.query<RecipientRow>(
    `WITH readable AS (SELECT r.recipient, count(*) AS backups FROM service_instance_backups s, unnest(s.recipients) r (recipient)
                        WHERE ${SEALED} GROUP BY 1),
          named AS (SELECT unnest($1::text[]) AS recipient UNION SELECT recipient FROM recipients UNION SELECT recipient FROM readable)
     SELECT n.recipient, r.name, r.created_at, r.retired_at, coalesce(b.backups, 0) AS backups
       FROM named n LEFT JOIN recipients r USING (recipient) LEFT JOIN readable b USING (recipient)
      ORDER BY r.retired_at NULLS FIRST, r.created_at NULLS FIRST, n.recipient`,
    [given],
  )

const SEALED = `s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL')`

/** How many sealed service-instance backups are encrypted for none of these. */
export async function countUnreadable(db: Db, loaded: readonly string[]): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    `SELECT count(*) FROM service_instance_backups s WHERE ${SEALED} AND s.recipients <> '{}' AND NOT s.recipients && $1::text[]`,
    [loaded],
  )
  return row?.count ?? 0
}

/** A sealed service-instance backup that a public key can read. */
export interface ReadableBackup {
  backup: string
  service_instance_backup: string
  application: string
  environment: string
  service_type: string
  prefix: string
  created_at: Date
}

/** Newest first. */
export async function listReadable(
  db: Db,
  recipient: string,
  page: { limit: number; offset: number },
): Promise<{ rows: ReadableBackup[]; count: number }> {
  const from = `FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
    JOIN service_instances i ON i.id = s.service_instance_id JOIN environments e ON e.id = b.environment_id
    JOIN applications a ON a.id = e.application_id WHERE ${SEALED} AND s.recipients @> ARRAY[$1::text]`
  const rows = await db.query<ReadableBackup>(
    `SELECT b.id AS backup, s.id AS service_instance_backup, a.slug AS application, e.slug AS environment, i.type AS service_type,
            i.prefix, b.created_at ${from} ORDER BY b.created_at DESC, s.id LIMIT $2 OFFSET $3`,
    [recipient, page.limit, page.offset],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${from}`, [recipient])
  return { rows, count: total?.count ?? 0 }
}

export interface RecipientChange {
  recipient: string
  now: Date
  /** Those of COFFER_AGE_RECIPIENTS. */
  given: readonly string[]
  /** Throws when those in use after the change will not do. It runs inside the transaction, so that two changes can't pass each other. */
  require: (inUse: readonly string[]) => void
}

/** New backups are encrypted for it, too, from the next attempt on. @throws CONFLICT (it is in use) and what `require` throws */
export const registerRecipient = (catalog: Catalog, change: RecipientChange & { name: string }): Promise<void> =>
  changed(catalog, change, async (tx) => {
    const made = await tx.query(
      `INSERT INTO recipients (recipient, name, created_at) VALUES ($1, $2, $3)
       ON CONFLICT (recipient) DO UPDATE SET name = excluded.name, retired_at = NULL WHERE recipients.retired_at IS NOT NULL
       RETURNING recipient`,
      [change.recipient, change.name, change.now],
    )
    if (made.length === 0) throw new CofferError('CONFLICT', `the recipient ${change.recipient} is registered already`)
  })

/** New backups are not encrypted for it any more; those that are stay so. @throws NOT_FOUND, CONFLICT and what `require` throws */
export const retireRecipient = (catalog: Catalog, change: RecipientChange): Promise<void> =>
  changed(catalog, change, async (tx) => {
    const { recipient, now } = change
    const [known] = await tx.query<{ retired: boolean }>(
      'SELECT retired_at IS NOT NULL AS retired FROM recipients WHERE recipient = $1',
      [recipient],
    )
    if (!known && !change.given.includes(recipient))
      throw new CofferError('NOT_FOUND', `there is no recipient ${recipient} in use`)
    if (known?.retired) throw new CofferError('CONFLICT', `the recipient ${recipient} is retired already`)
    await tx.query(
      `INSERT INTO recipients (recipient, name, created_at, retired_at) VALUES ($1, 'of the environment', $2, $2)
       ON CONFLICT (recipient) DO UPDATE SET retired_at = $2`,
      [recipient, now],
    )
  })

function changed(catalog: Catalog, change: RecipientChange, write: (tx: Db) => Promise<void>): Promise<void> {
  return catalog.transaction(async (tx) => {
    await tx.query('LOCK TABLE recipients IN SHARE ROW EXCLUSIVE MODE')
    await write(tx)
    change.require(await recipientsInUse(tx, change.given))
  })
}
