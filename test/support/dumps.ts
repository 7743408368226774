import type { DumpContents } from '../../shared/domain/manifest.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { openDump } from '../../shared/postgres/dump.ts'
import { clients } from './postgres.ts'

export interface WholeDump {
  bytes: Buffer
  contents: DumpContents
  takenAt: Date
}

/** A real dump of the database, kept in memory. */
export async function dumpWhole(url: string): Promise<WholeDump> {
  const dump = await openDump({ connection: parsePostgresUrl(url), clients })
  const chunks: Buffer[] = []
  for await (const chunk of dump.source) {
    dump.inspect(chunk)
    chunks.push(chunk)
  }
  return { bytes: Buffer.concat(chunks), contents: dump.contents(), takenAt: dump.takenAt() }
}
