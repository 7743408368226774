import type { ArtifactKind } from '../../shared/domain/artifact.ts'
import { CofferError } from '../../shared/errors.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import type { Life } from '../life.ts'
import type { RestorePart } from './restorer.ts'

/** The plain bytes of one artifact; the digest is proven only when they have ended. */
export function readPlain(
  { artifacts, store, identities, life }: Pick<RestorePart, 'artifacts' | 'store' | 'identities' | 'life'>,
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
  life.report({ step: 'comparing' })
  life.allMoved()
}
