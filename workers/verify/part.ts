import type { VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import type { WorkerConfig } from '../../shared/config.ts'
import type { ArtifactKind, ArtifactRecord } from '../../shared/domain/artifact.ts'
import type { Manifest } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import type { Secrets } from '../../shared/secrets.ts'
import type { Store } from '../../shared/storage/store.ts'

/** What a look at one service-instance backup needs. */
export interface PartToVerify {
  /** Of the verification: what a drill makes is named after it. */
  id: string
  subject: VerificationSubject
  store: Store
  secrets: Secrets
  identities: readonly string[]
  config: WorkerConfig
  signal: AbortSignal
  /** Plain bytes that were read so far, of one artifact after the other. */
  onBytes: (bytes: number) => void
}

/** @throws CONTENTS_DIFFER when the manifest has none of this kind */
export function recordOf({ artifacts }: Manifest, kind: ArtifactKind): ArtifactRecord {
  const record = artifacts.find((artifact) => artifact.kind === kind)
  if (!record) throw new CofferError('CONTENTS_DIFFER', `its manifest names no ${kind}`)
  return record
}

/** The plain bytes, each chunk shown to `inspect` first. Their digest is proven only when they have ended. */
export async function* readPlain(
  { store, identities, signal, onBytes }: PartToVerify,
  record: ArtifactRecord,
  inspect: (chunk: Buffer) => void = () => undefined,
): AsyncGenerator<Buffer, void, void> {
  for await (const chunk of readArtifact({ store, record, identities, signal })) {
    inspect(chunk)
    onBytes(chunk.length)
    yield chunk
  }
}

/** Reads to the end for the digest alone. */
export async function drain(bytes: AsyncIterable<Buffer>): Promise<void> {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- the chunks are of no interest
  for await (const _chunk of bytes);
}
