import type { DumpContents } from '../../shared/domain/manifest.ts'
import { CofferError, toCofferError } from '../../shared/errors.ts'
import { findPostgresClients } from '../../shared/postgres/clients.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { restoreIntoEmpty } from '../../shared/postgres/restore.ts'
import { checkTarget } from '../../shared/postgres/target.ts'
import { readPlain } from './restore-part.ts'
import type { Restorer } from './restorer.ts'

/** Restores a dump into an empty database and compares it with what was counted when it was taken. */
export const databaseRestorer: Restorer<DumpContents> = {
  async preflight({ connection, contents, life }) {
    const look = { method: 'into an empty database', keepsOldState: false, leftOut: [] }
    try {
      await checkTarget(parsePostgresUrl(connection.url), contents, life.signal)
      return { ...look, isEmpty: true, findings: [] }
    } catch (thrown) {
      const error = toCofferError(thrown)
      const findings = error.details['findings']
      if (!Array.isArray(findings)) throw error
      return { ...look, isEmpty: error.code !== 'TARGET_NOT_EMPTY', findings: findings.map(String) }
    }
  },
  async recover({ connection, contents, life }) {
    try {
      await checkTarget(parsePostgresUrl(connection.url), contents, life.signal)
      return 'as-before'
    } catch (thrown) {
      if (toCofferError(thrown).code === 'TARGET_NOT_EMPTY') return 'restored'
      throw thrown
    }
  },
  async restore(part) {
    const report = await restoreIntoEmpty({
      connection: parsePostgresUrl(part.connection.url),
      clients: await findPostgresClients(),
      dump: readPlain(part, 'dump'),
      expected: part.contents,
      signal: part.life.signal,
    })
    return { ...report }
  },
  confirm: () => Promise.resolve(),
  undo: () => Promise.reject(new CofferError('CONFLICT', 'nothing of the old state is kept')),
}
