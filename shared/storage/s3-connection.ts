import { S3Client } from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { CofferError } from '../errors.ts'
import { persist } from './persist.ts'
import { fromS3 } from './s3-errors.ts'
import type { S3Settings } from './store-url.ts'

export interface S3Credentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken?: string
}

/** All in milliseconds. */
export interface S3Timing {
  connectMs: number
  /** A connection on which nothing moves for so long is broken off. */
  idleMs: number
  /** How long requests are repeated that fail with what may pass. */
  patienceMs: number
  /** The same within an upload, where giving up costs all that was sent. */
  uploadPatienceMs: number
  firstDelayMs: number
}

const TIMING: S3Timing = {
  connectMs: 5_000,
  idleMs: 60_000,
  patienceMs: 20_000,
  uploadPatienceMs: 300_000,
  firstDelayMs: 200,
}

interface Limits {
  signal?: AbortSignal | undefined
  patienceMs?: number
}

/** The SDK's clients for one bucket. Retries are ours alone: the SDK's can't be aborted and are spent within seconds. */
export class S3Connection {
  readonly settings: S3Settings
  readonly timing: S3Timing
  readonly #uploads: S3Client
  readonly #downloads: S3Client

  constructor(settings: S3Settings, timing: Partial<S3Timing>, credentials?: S3Credentials) {
    this.settings = settings
    this.timing = { ...TIMING, ...timing }
    this.#uploads = openClient(settings, this.timing, credentials)
    this.#downloads = openClient(settings, this.timing, credentials)
  }

  /** Repeats a request until it succeeds, is refused, or patience ends. `key` is the store's, for messages. */
  async request<T>(
    operation: string,
    key: string | undefined,
    send: (client: S3Client) => Promise<T>,
    limits: Limits = {},
  ) {
    return await this.#persist(operation, key, () => send(this.#uploads), limits)
  }

  /** The same on connections of their own, so that readers who dawdle can't starve uploads. */
  async download<T>(operation: string, key: string, send: (client: S3Client) => Promise<T>, limits: Limits = {}) {
    return await this.#persist(operation, key, () => send(this.#downloads), limits)
  }

  /** What the SDK threw, in our terms. */
  explain(operation: string, key: string | undefined, error: unknown): CofferError {
    return fromS3(error, { operation, bucket: this.settings.bucket, ...(key !== undefined && { key }) })
  }

  /** The key in the bucket. */
  objectKey(key: string): string {
    return this.settings.prefix === '' ? key : `${this.settings.prefix}/${key}`
  }

  close(): void {
    this.#uploads.destroy()
    this.#downloads.destroy()
  }

  async #persist<T>(operation: string, key: string | undefined, send: () => Promise<T>, limits: Limits): Promise<T> {
    const { signal, patienceMs = this.timing.patienceMs } = limits
    const attempt = async () => {
      try {
        return await send()
      } catch (error) {
        throw this.explain(operation, key, error)
      }
    }
    return await persist(attempt, { patienceMs, firstDelayMs: this.timing.firstDelayMs, signal })
  }
}

function openClient(settings: S3Settings, timing: S3Timing, credentials: S3Credentials | undefined): S3Client {
  return new S3Client({
    ...(settings.region && { region: settings.region }),
    ...(settings.endpoint && { endpoint: settings.endpoint.href }),
    ...(credentials && { credentials }),
    forcePathStyle: settings.forcePathStyle,
    requestChecksumCalculation: settings.checksum === 'when_supported' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    // Ranged and multipart reads can't be checked this way; every artifact has a SHA-256 of its own that covers all.
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: timing.connectMs,
      socketTimeout: timing.idleMs,
      httpAgent: { keepAlive: true, maxSockets: 64 },
      httpsAgent: { keepAlive: true, maxSockets: 64 },
    }),
  })
}
