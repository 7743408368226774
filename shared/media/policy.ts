import { fileURLToPath } from 'node:url'
import type { CommonConfig } from '../config.ts'
import type { RootPolicy } from './root.ts'

type Places = Pick<
  CommonConfig,
  'COFFER_STORAGE_URL' | 'COFFER_AGE_IDENTITY_FILE' | 'COFFER_MEDIA_ROOTS' | 'COFFER_DATA_DIR'
>

/** Where media may be read from and restored to. Asked anew at each run: a folder can become a link to elsewhere. */
export function mediaPolicy(config: Places): RootPolicy {
  const { COFFER_STORAGE_URL: store, COFFER_AGE_IDENTITY_FILE: identityFile } = config
  return {
    allowedRoots: config.COFFER_MEDIA_ROOTS,
    forbidden: [
      config.COFFER_DATA_DIR,
      ...(store.startsWith('file:') ? [fileURLToPath(store)] : []),
      ...(identityFile === undefined ? [] : [identityFile]),
    ],
  }
}
