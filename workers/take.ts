import { takeDump } from './dump/take-dump.ts'
import { takeArchive } from './media-archive/take-archive.ts'
import type { Take, WorkerContext } from './run-processor.ts'
import { takeUpload } from './transfer/take-upload.ts'

/** Takes what a run is of, by what the catalog says of it and not by the queue that its bell was in. */
export const takeWhatIsDue =
  (context: Pick<WorkerContext, 'catalog' | 'stores'>): Take =>
  (given) => {
    const { serviceInstance, backup } = given.run
    if (backup.trigger === 'UPLOAD') return takeUpload(context)(given)
    return serviceInstance.type === 'DATABASE' ? takeDump(given) : takeArchive(given)
  }
