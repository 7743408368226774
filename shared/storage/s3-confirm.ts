import { DeleteObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3'
import type { S3Client } from '@aws-sdk/client-s3'
import { CofferError } from '../errors.ts'
import type { Part } from './part-filler.ts'
import type { S3Connection } from './s3-connection.ts'
import type { S3Settings } from './store-url.ts'
import type { WrittenObject } from './store.ts'

/** User metadata that says which write an object is of. */
export const WRITE_MARK = 'coffer-write'

/** What the store tells of a part or an object. */
export interface Reply {
  ETag?: string | undefined
  ChecksumCRC32?: string | undefined
}

interface Target {
  Bucket: string
  Key: string
}

/** Collects what the store said about each part, and compares what it holds in the end. */
export class Confirmation {
  readonly #checksum: S3Settings['checksum']
  #size = 0
  #parts = 0
  #byCrc32 = 0
  #byEtag = 0

  constructor(checksum: S3Settings['checksum']) {
    this.#checksum = checksum
  }

  /** Counts a part, and gives the headers by which the server itself refuses what was damaged on its way. */
  sending(part: Part): { ChecksumCRC32?: string; ContentMD5?: string } {
    this.#parts += 1
    this.#size += part.bytes.length
    return this.#checksum === 'when_supported'
      ? { ChecksumCRC32: encodeCrc32(part.crc32) }
      : { ContentMD5: part.md5.toString('base64') }
  }

  /** An ETag that is not the MD5 proves nothing: servers with KMS and some others compute it otherwise. */
  heard(part: Part, reply: Reply): void {
    if (reply.ChecksumCRC32 === encodeCrc32(part.crc32)) this.#byCrc32 += 1
    if (unquote(reply.ETag) === part.md5.toString('hex')) this.#byEtag += 1
  }

  /** @throws STORE_MISMATCH when the store holds something else than was sent */
  async confirm(
    connection: S3Connection,
    key: string,
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<WrittenObject> {
    const target = { Bucket: connection.settings.bucket, Key: connection.objectKey(key) }
    const held = await connection.request(
      'HeadObject',
      key,
      (client) => client.send(new HeadObjectCommand(target), { abortSignal: signal }).catch(notYet(target)),
      { signal, patienceMs: connection.timing.uploadPatienceMs },
    )
    const isSameEtag = etag === undefined || held.ETag === undefined || unquote(held.ETag) === unquote(etag)
    if (held.ContentLength !== this.#size || !isSameEtag) {
      const size = held.ContentLength ?? 'an unknown number of'
      const message = `bucket ${target.Bucket} held ${size} bytes of ${key} where ${this.#size} were sent`
      throw new CofferError('STORE_MISMATCH', message)
    }
    const confirmedBy = this.#byCrc32 === this.#parts ? 'crc32' : this.#byEtag === this.#parts ? 'etag' : 'size'
    return { key, size: this.#size, confirmedBy }
  }
}

/** What the store has just taken it may not show yet: asked again. Without a cause, since the SDK's errors carry their whole request. */
const notYet =
  ({ Bucket, Key }: Target) =>
  (error: unknown): never => {
    const { $metadata } = error as { $metadata?: { httpStatusCode?: number } }
    if ($metadata?.httpStatusCode !== 404) throw error
    throw new CofferError('STORE_UNREACHABLE', `bucket ${Bucket} does not show ${Key}, which it has just taken`)
  }

/** The object as this write left it; null: another write's. Throws when there is none. */
export async function headOwn(
  client: S3Client,
  target: Target,
  mark: string,
  abortSignal?: AbortSignal,
): Promise<Reply | null> {
  const held = await client.send(new HeadObjectCommand(target), abortSignal && { abortSignal })
  return held.Metadata?.[WRITE_MARK] === mark ? { ETag: held.ETag } : null
}

/** Removes what a failed write may have made visible. Its own failure is swallowed: the one before it is what the caller must hear of. */
export async function removeOwn(connection: S3Connection, key: string, mark: string): Promise<void> {
  const target = { Bucket: connection.settings.bucket, Key: connection.objectKey(key) }
  const remove = async (client: S3Client) => {
    if (await headOwn(client, target, mark)) await client.send(new DeleteObjectCommand(target))
  }
  await connection.request('DeleteObject', key, remove).catch(() => undefined)
}

function encodeCrc32(value: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes.toString('base64')
}

function unquote(etag: string | undefined): string | undefined {
  return etag?.replaceAll('"', '')
}
