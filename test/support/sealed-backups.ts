import { randomBytes } from 'node:crypto'
import { createBackup } from '../../shared/catalog/backups.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { ARTIFACT_NAMES } from '../../shared/domain/artifact.ts'
import type { Trigger } from '../../shared/domain/states.ts'
import { CofferError } from '../../shared/errors.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { processRun, type Take } from '../../workers/run-processor.ts'
import type { ClockedWorker } from './clocked-worker.ts'
import type { TestCoffer } from './coffer.ts'

export interface SealedBackup {
  id: string
  /** Ids of its service-instance backups, in the order of their service instances. */
  parts: string[]
}

export interface BackupToSeal {
  at: Date | string
  trigger?: Trigger
  /** Plain bytes of each part. */
  size?: number
  success?: 'SUCCESS' | 'PARTIAL' | 'FAILURE'
  deleteAt?: Date | null
  services?: string[]
}

const NO_FILES: MediaContents = {
  kind: 'media',
  list_member: 'MANIFEST',
  entries: 0,
  files: 0,
  bytes: 0,
  changed: 0,
  skipped: 0,
  unreadable: 0,
}

/** A backup of random bytes instead of a source, claimed, stored and sealed by a real run at the given time. */
export async function sealBackup(
  coffer: TestCoffer,
  worker: ClockedWorker,
  { at, trigger = 'SCHEDULED', size = 1000, success = 'SUCCESS', deleteAt = null, services = [] }: BackupToSeal,
): Promise<SealedBackup> {
  const now = new Date(at)
  const { context } = worker
  const { uuid, service_instance_backups: parts } = await createBackup(coffer.catalog, {
    environmentId: coffer.environmentId,
    services,
    trigger,
    notes: '',
    scheduledForDeletionAt: deleteAt,
    maxTries: 1,
    scope: { organisationId: null },
    now,
  })
  const take = takeRandom(size, success, context.config.COFFER_AGE_RECIPIENTS)
  for (const id of parts) {
    const run = processRun({ ...context, clock: () => now }, take, { data: { id, attempt: 1 }, attemptsMade: 0 })
    await (success === 'FAILURE' ? run.catch(() => undefined) : run)
  }
  return { id: uuid, parts }
}

const takeRandom =
  (size: number, success: 'SUCCESS' | 'PARTIAL' | 'FAILURE', recipients: readonly string[]): Take =>
  async ({ run, store, clock }) => {
    if (success === 'FAILURE') throw new CofferError('SOURCE_AUTH_FAILED', 'the source refuses')
    const key = `${run.keyPrefix}${ARTIFACT_NAMES.archive}`
    const source = (async function* () {
      yield await Promise.resolve(randomBytes(size))
    })()
    const { record } = await writeArtifact({ store, key, kind: 'archive', source, recipients: [...recipients] })
    return { artifacts: [record], contents: NO_FILES, takenAt: clock(), success, warnings: [], files: 0 }
  }

const DAY_MS = 86_400_000

/** The same time of day, so many days before. */
export const daysBefore = (now: Date, days: number): Date => new Date(now.getTime() - days * DAY_MS)

/** On-demand ones so many days old. The default policy keeps those under 30 days, and three of the older. */
export async function sealOnDemand(
  coffer: TestCoffer,
  worker: ClockedWorker,
  ages: readonly number[],
): Promise<SealedBackup[]> {
  const sealed: SealedBackup[] = []
  for (const age of ages)
    sealed.push(await sealBackup(coffer, worker, { at: daysBefore(worker.now, age), trigger: 'MANUAL' }))
  return sealed
}
