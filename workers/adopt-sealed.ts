import { beginSeal, finishSeal } from '../shared/catalog/seals.ts'
import type { Fence } from '../shared/catalog/runs.ts'
import { MANIFEST_NAME } from '../shared/domain/manifest.ts'
import { judgeManifest, type FoundManifest } from '../shared/rebuild/judge-manifest.ts'
import type { Store } from '../shared/storage/store.ts'
import type { WorkerContext } from './run-processor.ts'

type HeldRun = Fence & { keyPrefix: string }

/**
 * Seals an attempt from the manifest that lies in its place already. That happens when the catalog is an older copy of itself: it was
 * restored, and what was sealed since is more than it knows. The caller holds the run's lease.
 * @returns `none`: there is no manifest; `foreign`: one that is not this run's, of which nothing may be overwritten or deleted
 */
export async function adoptSealed(
  { catalog, secrets }: Pick<WorkerContext, 'catalog' | 'secrets'>,
  store: Store,
  run: HeldRun,
): Promise<'adopted' | 'none' | 'foreign'> {
  const key = `${run.keyPrefix}${MANIFEST_NAME}`
  if (!(await store.head(key))) return 'none'
  const found = await judgeManifest({ secrets, store }, key)
  if (found.verdict !== 'genuine' || !isWholeOf(run, found)) return 'foreign'
  const { manifest, text } = found
  const { success, warnings } = manifest.service_instance_backup
  if (success !== 'SUCCESS' && success !== 'PARTIAL') return 'foreign'
  const intent = {
    manifest: text,
    artifacts: manifest.artifacts,
    files: manifest.contents.kind === 'media' ? manifest.contents.files : null,
    warnings,
    takenAt: new Date(manifest.taken_at),
  }
  if ((await beginSeal(catalog, run, intent)) !== 'sealing') return 'foreign'
  const sealed = await finishSeal(catalog, run, { success, now: new Date(manifest.ended_at) })
  return sealed === 'sealed' ? 'adopted' : 'foreign'
}

const isWholeOf = (run: Fence, { manifest, missing }: FoundManifest) =>
  missing.length === 0 && manifest.service_instance_backup.id === run.id
