import { CofferError } from '../errors.ts'
import { readFromChild } from '../pipeline/child.ts'

/**
 * Makes everything durable that was written to the file system of a folder. By the program `sync`, because Node has no syncfs, and an fsync
 * for each of many small files takes many times as long.
 */
export async function syncFileSystem(folder: string): Promise<void> {
  const program = readFromChild({
    program: 'sync',
    args: ['-f', folder],
    env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
    onFailure: ({ stderrTail }) =>
      new CofferError('RESTORE_FAILED', `the file system of ${folder} can't be synced: ${stderrTail.trim()}`),
  })
  while (!(await program.next()).done);
}
