import { readFileSync } from 'node:fs'
import type { DumpContents } from '../../shared/domain/manifest.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { storeDump } from './database-parts.ts'

/** What a test asks this process to do to a database, until it is killed. */
export interface RestoreOrder {
  action: 'restore' | 'undo'
  url: string
  id: string
  dump: string
  contents: DumpContents
  tables?: string[]
}

const order = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as RestoreOrder
const dump = await storeDump({ bytes: readFileSync(order.dump), contents: order.contents, takenAt: new Date(0) })
const part = dump.into(order.url, { id: order.id, selection: { tables: order.tables ?? [] } })
if (order.action === 'undo') await databaseRestorer.undo(part)
else await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
