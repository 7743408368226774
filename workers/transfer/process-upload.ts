import { forgetStaged, spentUploads } from '../../shared/catalog/staged-objects.ts'
import { processRun, type BellJob, type WorkerContext } from '../run-processor.ts'
import { takeWhatIsDue } from '../take.ts'

/** One attempt to make a backup of what was uploaded: a run like any other, whose source is the staged object. */
export async function processUpload(context: WorkerContext, job: BellJob): Promise<string> {
  try {
    return await processRun(context, takeWhatIsDue(context), job)
  } finally {
    await discardSpent(context, job.data.id).catch((error: unknown) =>
      context.log.warn({ run: job.data.id, err: error }, 'a staged object stays in the store until the sweep'),
    )
  }
}

/** Deletes staged objects that nobody needs any more, of one upload or of all. May run twice. @throws the first failure, after all others were deleted */
export async function discardSpent(
  { catalog, clock, stores }: Pick<WorkerContext, 'catalog' | 'clock' | 'stores'>,
  id: string | null = null,
): Promise<void> {
  const failures: unknown[] = []
  for (const spent of await spentUploads(catalog, clock(), id)) {
    try {
      await stores.open(spent.storeUrl).delete(spent.key)
      await forgetStaged(catalog, spent)
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
