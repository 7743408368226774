import { ARTIFACT_NAMES } from '../../shared/domain/artifact.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { findPostgresClients } from '../../shared/postgres/clients.ts'
import { openDump } from '../../shared/postgres/dump.ts'
import { releasing } from '../../shared/release.ts'
import type { TakeContext } from '../run-processor.ts'
import type { TakenBackup } from '../seal.ts'
import { vetDatabase } from '../vet-database.ts'

/** Dumps a PostgreSQL database into the store. Every byte is parsed as it passes, and every row counted. */
export async function takeDump({
  run,
  connection,
  store,
  config,
  recipients,
  life,
}: TakeContext): Promise<TakenBackup> {
  const dump = await openDump({
    connection: await vetDatabase(connection.url, run.serviceInstance.egress, config),
    clients: await findPostgresClients(),
    signal: life.signal,
  })
  life.report({ expected_bytes: run.last?.plain_size ?? dump.estimatedBytes })
  const { record } = await writeArtifact({
    store,
    key: `${run.keyPrefix}${ARTIFACT_NAMES.dump}`,
    kind: 'dump',
    source: releasing(dump.source),
    inspect: (chunk) => dump.inspect(chunk),
    recipients,
    expectedSize: run.last?.stored_size ?? dump.estimatedBytes,
    signal: life.signal,
    onProgress: ({ plainBytes, storedBytes }) => life.report({ plain_bytes: plainBytes, stored_bytes: storedBytes }),
  })
  const contents = dump.contents()
  return { artifacts: [record], contents, takenAt: dump.takenAt(), success: 'SUCCESS', warnings: [], files: null }
}
