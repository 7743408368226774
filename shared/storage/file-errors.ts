import { CofferError } from '../errors.ts'
import type { FailureCode } from '../errors.ts'

const CODES: Record<string, FailureCode> = {
  ENOSPC: 'STORE_FULL',
  EDQUOT: 'STORE_FULL',
  EFBIG: 'OBJECT_TOO_LARGE',
  EACCES: 'STORE_REFUSED',
  EPERM: 'STORE_REFUSED',
  EROFS: 'STORE_REFUSED',
  ENOTDIR: 'STORE_REFUSED',
  EISDIR: 'STORE_REFUSED',
  EEXIST: 'STORE_REFUSED',
  ELOOP: 'STORE_REFUSED',
  ENAMETOOLONG: 'STORE_REFUSED',
}

export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/** Runs a file system call of the store; what the system refuses becomes a CofferError that names the path. */
export async function onDisk<T>(what: string, path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined || error instanceof CofferError) throw error
    throw new CofferError(CODES[code] ?? 'STORE_UNREACHABLE', `could not ${what} ${path}: ${code}`, { cause: error })
  }
}

/** As onDisk, but null where the path, or a folder on the way, is not there. */
export async function onDiskIfThere<T>(what: string, path: string, call: () => Promise<T>): Promise<T | null> {
  return await onDisk(what, path, async () => {
    try {
      return await call()
    } catch (error) {
      const code = systemCode(error)
      if (code === 'ENOENT' || code === 'ENOTDIR') return null
      throw error
    }
  })
}
