import { FileStore } from './file-store.ts'
import { S3Connection } from './s3-connection.ts'
import type { S3Credentials, S3Timing } from './s3-connection.ts'
import { S3Store } from './s3-store.ts'
import { parseStoreUrl } from './store-url.ts'
import type { Store } from './store.ts'

export interface OpenStoreOptions {
  /** `s3://` only; without them the AWS SDK's usual chain (environment, files, instance role). */
  credentials?: S3Credentials
  /** `s3://` only; what is not given has a default. */
  timing?: Partial<S3Timing>
}

/**
 * The store of a URL as parseStoreUrl reads it. Touches neither disk nor network: `check()` does.
 *
 * @throws CONFIG_INVALID naming every problem of the URL
 */
export function openStore(url: string, { credentials, timing = {} }: OpenStoreOptions = {}): Store {
  const settings = parseStoreUrl(url)
  if (settings.kind === 'file') return new FileStore(settings.root)
  return new S3Store(new S3Connection(settings, timing, credentials))
}
