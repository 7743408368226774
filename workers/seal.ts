import type { Catalog } from '../shared/catalog/database.ts'
import type { ClaimedRun } from '../shared/catalog/runs.ts'
import { beginSeal, finishSeal, isOver } from '../shared/catalog/seals.ts'
import type { Clock } from '../shared/clock.ts'
import type { ArtifactRecord } from '../shared/domain/artifact.ts'
import {
  type Contents,
  MANIFEST_FORMAT,
  MANIFEST_NAME,
  STATE_NAME,
  type UnsignedManifest,
} from '../shared/domain/manifest.ts'
import { CofferError } from '../shared/errors.ts'
import { encodeManifest } from '../shared/manifest.ts'
import type { Secrets } from '../shared/secrets.ts'
import { reached } from '../shared/steps.ts'
import type { Store } from '../shared/storage/store.ts'
import { COFFER_VERSION } from '../shared/version.ts'
import { writeText } from '../shared/storage/text-objects.ts'
import { discardAttempt } from './attempt-objects.ts'
import { persistently } from './persistently.ts'
import { encodeState } from './state-file.ts'

/** What a run has stored and proven. */
export interface TakenBackup {
  artifacts: ArtifactRecord[]
  contents: Contents
  takenAt: Date
  success: 'SUCCESS' | 'PARTIAL'
  warnings: string[]
  files: number | null
}

export interface SealContext {
  catalog: Catalog
  secrets: Secrets
  clock: Clock
  recipients: readonly string[]
  store: Store
  signal: AbortSignal
}

/**
 * RUNNING → SEALING → manifest → COMPLETED. The manifest goes last: a reader that finds one may trust every artifact it names.
 * @throws RUN_CANCELLED or RUN_FENCED when it may not be sealed any more
 */
export async function sealRun(context: SealContext, run: ClaimedRun, taken: TakenBackup): Promise<void> {
  const { catalog, store, clock, signal } = context
  const manifest = encodeManifest(context.secrets, describe(context, run, taken))
  const intent = { ...taken, manifest }
  const begun = await persistently(() => beginSeal(catalog, run, intent), signal)
  if (begun === 'cancelled') throw new CofferError('RUN_CANCELLED', 'it was cancelled on request')
  if (begun === 'fenced') throw new CofferError('RUN_FENCED', 'another worker has taken it over')
  await writeText(store, `${run.keyPrefix}${STATE_NAME}`, firstState(run, clock()), signal)
  reached('before-manifest', { key: run.keyPrefix })
  await writeText(store, `${run.keyPrefix}${MANIFEST_NAME}`, manifest, signal)
  reached('after-manifest', { key: run.keyPrefix })
  const sealed = await persistently(() => finishSeal(catalog, run, { success: taken.success, now: clock() }), signal)
  if (sealed === 'sealed') return
  // A settler that has not decided yet may still seal what lies there; then nothing may be deleted.
  if (await isOver(catalog, run)) await discardAttempt(store, run.keyPrefix)
  throw new CofferError('RUN_FENCED', 'another worker has taken it over while it was being sealed')
}

function describe({ clock, recipients }: SealContext, run: ClaimedRun, taken: TakenBackup): UnsignedManifest {
  return {
    format: MANIFEST_FORMAT,
    coffer_version: COFFER_VERSION,
    organisation: run.organisation,
    application: run.application,
    environment: run.environment,
    backup: {
      ...run.backup,
      due_at: run.backup.due_at?.toISOString() ?? null,
      created_at: run.backup.created_at.toISOString(),
    },
    service_instance_backup: {
      id: run.id,
      service_instance: run.serviceInstance.id,
      service_type: run.serviceInstance.type,
      prefix: run.serviceInstance.prefix,
      attempt: run.attempt,
      success: taken.success,
      warnings: taken.warnings,
    },
    region: run.store.region,
    taken_at: taken.takenAt.toISOString(),
    started_at: run.startedAt.toISOString(),
    ended_at: clock().toISOString(),
    artifacts: taken.artifacts,
    recipients: [...recipients],
    contents: taken.contents,
  }
}

const firstState = (run: ClaimedRun, now: Date) =>
  encodeState(
    run.id,
    { label: null, hold: null, scheduled_for_deletion_at: run.scheduledForDeletionAt?.toISOString() ?? null },
    now,
  )
