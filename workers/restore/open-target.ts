import type { ClaimedRestore } from '../../shared/catalog/restore-runs.ts'
import { decryptConnection } from '../../shared/connections.ts'
import type { Contents, Manifest } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { readIdentities, requireIdentityFor } from '../../shared/identities.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import type { Life } from '../life.ts'
import type { WorkerContext } from '../run-processor.ts'
import { databaseRestorer } from './restore-database.ts'
import { mediaRestorer } from './restore-media.ts'
import type { Preflight, Restorer, RestorePart } from './restorer.ts'

const BEAT_MS = 1_000

/** The restorer of what a backup contains, tied to the backup and the target. Cleaning up may need another life than restoring. */
export interface OpenTarget {
  /** @throws KEY_MISSING, KEY_WRONG: before any work, with the public keys that are wanted and those that are there */
  requireKey(): Promise<void>
  preflight(life: Life): Promise<Preflight>
  /** `id`: what another restore into the same target has left */
  recover(life: Life, id?: string): Promise<'as-before' | 'restored'>
  forget(ended: readonly string[]): Promise<void>
  restore(life: Life, preflight: Preflight): Promise<Record<string, unknown>>
  confirm(life: Life): Promise<void>
  undo(life: Life): Promise<void>
}

/** @throws NOT_FOUND when the target was deleted since; what decoding the manifest and the connection throw */
export async function openTarget(
  { secrets, stores, config }: WorkerContext,
  restore: ClaimedRestore,
): Promise<OpenTarget> {
  const { target } = restore
  if (target.isDeleted)
    throw new CofferError('NOT_FOUND', `service instance ${target.id} of ${target.name} was deleted since`)
  const manifest = decodeManifest(secrets, restore.manifest)
  const part = {
    id: restore.id,
    attempt: restore.attempt,
    selection: restore.selection,
    egress: target.egress,
    mediaBounds: target.mediaBounds,
    connection: decryptConnection(secrets, target.id, target.connection),
    config,
    store: stores.open(restore.storeUrl),
    artifacts: restore.artifacts,
    identities: await readIdentities(config.COFFER_AGE_IDENTITY_FILE),
  }
  const { contents } = manifest
  return contents.kind === 'postgresql'
    ? tie(databaseRestorer, { ...part, contents }, manifest)
    : tie(mediaRestorer, { ...part, contents }, manifest)
}

/**
 * Removing millions of files, or moving them back, is quiet for long, which is no sign that it hangs. Until the deadline: then whoever
 * hangs on a dead mount must lose the lease.
 */
async function busily<T>(life: Life, deadlineSeconds: number, work: () => Promise<T>): Promise<T> {
  const until = performance.now() + deadlineSeconds * 1000
  const beat = setInterval(() => {
    if (performance.now() < until) life.report({})
  }, BEAT_MS)
  try {
    return await work()
  } finally {
    clearInterval(beat)
  }
}

function tie<Of extends Contents>(
  restorer: Restorer<Of>,
  part: Omit<RestorePart<Of>, 'life'>,
  { recipients }: Manifest,
): OpenTarget {
  return {
    requireKey: () => requireIdentityFor(recipients, part.identities),
    preflight: (life) => restorer.preflight({ ...part, life }),
    recover: (life, id = part.id) =>
      busily(life, part.config.COFFER_DEADLINE_SECONDS, () => restorer.recover({ ...part, id, life })),
    forget: (ended) => restorer.forget(part, ended),
    restore: (life, preflight) => restorer.restore({ ...part, life }, preflight),
    confirm: (life) => restorer.confirm({ ...part, life }),
    undo: (life) => restorer.undo({ ...part, life }),
  }
}
