import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/**
 * Holds a data folder for this process. The lock is the kernel's, taken through SQLite because Node has none of its own: it
 * ends with the process, however that ends. Returns what releases it; null when another process holds the folder.
 */
export function holdFolder(folder: string): (() => void) | null {
  const lock = new DatabaseSync(join(folder, 'up.lock'))
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch {
    lock.close()
    return null
  }
  return () => lock.close()
}
