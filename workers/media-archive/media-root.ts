import { fileURLToPath } from 'node:url'
import type { CommonConfig } from '../../shared/config.ts'
import { resolveMediaRoot } from '../../shared/media/root.ts'

/** The real path of a media folder, if the operator allows it. Asked anew at each run: a folder can become a link to elsewhere. */
export function mediaRoot(url: string, config: CommonConfig): Promise<string> {
  const { COFFER_STORAGE_URL: store, COFFER_AGE_IDENTITY_FILE: identityFile } = config
  return resolveMediaRoot(url, {
    allowedRoots: config.COFFER_MEDIA_ROOTS,
    forbidden: [
      config.COFFER_DATA_DIR,
      ...(store.startsWith('file:') ? [fileURLToPath(store)] : []),
      ...(identityFile === undefined ? [] : [identityFile]),
    ],
  })
}
