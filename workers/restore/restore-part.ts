import type { WorkerConfig } from '../../shared/config.ts'
import type { Connection } from '../../shared/connections.ts'
import type { ArtifactKind, ArtifactRecord } from '../../shared/domain/artifact.ts'
import { CofferError } from '../../shared/errors.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import type { Store } from '../../shared/storage/store.ts'
import type { Life } from '../life.ts'

/** What a restore of either kind needs. */
export interface RestorePart {
  connection: Connection
  config: WorkerConfig
  life: Life
  store: Store
  artifacts: readonly ArtifactRecord[]
  identities: readonly string[]
}

/** The plain bytes of one artifact; the digest is proven only when they have ended. */
export function readPlain(
  { artifacts, store, identities, life }: RestorePart,
  kind: ArtifactKind,
): AsyncIterable<Buffer> {
  const record = artifacts.find((artifact) => artifact.kind === kind)
  if (!record) throw new CofferError('ARTIFACT_CORRUPT', `the backup has no ${kind}`)
  life.report({ expected_bytes: record.plain_size })
  return counted(readArtifact({ store, record, identities, signal: life.signal }), life)
}

async function* counted(source: AsyncIterable<Buffer>, life: Life): AsyncIterable<Buffer> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    life.report({ plain_bytes: bytes })
    yield chunk
  }
  life.allMoved()
}
