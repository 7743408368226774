import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'
import type { ListMultipartUploadsCommandInput, ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3'
import type { Readable } from 'node:stream'
import { CofferError } from '../errors.ts'
import { checkStore } from './check-store.ts'
import { assertKey, assertPrefix } from './object-key.ts'
import type { S3Connection } from './s3-connection.ts'
import { readObject } from './s3-read.ts'
import { uploadObject } from './s3-upload.ts'
import type { ObjectInfo, PendingUpload, Store, WriteOptions, WrittenObject } from './store.ts'

export class S3Store implements Store {
  readonly url: string
  readonly #connection: S3Connection

  constructor(connection: S3Connection) {
    const { bucket, prefix } = connection.settings
    this.url = prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`
    this.#connection = connection
  }

  async write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions = {}): Promise<WrittenObject> {
    return await uploadObject(this.#connection, key, body, options)
  }

  async read(key: string, range: { start?: number; end?: number; signal?: AbortSignal } = {}): Promise<Readable> {
    assertKey(key)
    return await readObject(this.#connection, key, range)
  }

  async head(key: string): Promise<ObjectInfo | null> {
    assertKey(key)
    const target = this.#target(key)
    const reply = await this.#unlessMissing(async () => {
      return await this.#connection.request('HeadObject', key, (client) => client.send(new HeadObjectCommand(target)))
    })
    if (reply === null) return await this.#confirmMissing(key)
    return { key, size: reply.ContentLength ?? 0, modifiedAt: reply.LastModified ?? new Date(0) }
  }

  async delete(key: string): Promise<void> {
    assertKey(key)
    const input = this.#target(key)
    await this.#unlessMissing(async () => {
      await this.#connection.request('DeleteObject', key, (client) => client.send(new DeleteObjectCommand(input)))
    })
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    assertPrefix(prefix)
    let token: string | undefined
    do {
      const input = { ...this.#scope(prefix), ContinuationToken: token }
      const page = await this.#connection.request('ListObjectsV2', undefined, (client) =>
        client.send(new ListObjectsV2Command(input)),
      )
      for (const { Key = '', Size = 0, LastModified = new Date(0) } of page.Contents ?? []) {
        const key = this.#keyOf(Key)
        if (key !== '') yield { key, size: Size, modifiedAt: LastModified }
      }
      token = page.IsTruncated ? this.#next('ListObjectsV2', page.NextContinuationToken) : undefined
    } while (token !== undefined)
  }

  async *pendingUploads(prefix: string): AsyncIterable<PendingUpload> {
    assertPrefix(prefix)
    let input: ListMultipartUploadsCommandInput | undefined = this.#scope(prefix)
    while (input) {
      const from: ListMultipartUploadsCommandInput = input
      const page: ListMultipartUploadsCommandOutput = await this.#connection.request(
        'ListMultipartUploads',
        undefined,
        (client) => client.send(new ListMultipartUploadsCommand(from)),
      )
      for (const { Key = '', UploadId: uploadId, Initiated: startedAt } of page.Uploads ?? []) {
        if (uploadId !== undefined && startedAt) yield { key: this.#keyOf(Key), uploadId, startedAt }
      }
      input = page.IsTruncated
        ? {
            ...from,
            KeyMarker: this.#next('ListMultipartUploads', page.NextKeyMarker),
            UploadIdMarker: page.NextUploadIdMarker,
          }
        : undefined
    }
  }

  async abortUpload({ key, uploadId }: PendingUpload): Promise<void> {
    assertKey(key)
    const input = { ...this.#target(key), UploadId: uploadId }
    try {
      await this.#connection.request('AbortMultipartUpload', key, (client) =>
        client.send(new AbortMultipartUploadCommand(input)),
      )
    } catch (error) {
      if (!(error instanceof CofferError) || error.details.s3Code !== 'NoSuchUpload') throw error
    }
  }

  prepare(): Promise<void> {
    return Promise.resolve()
  }

  async check(): Promise<void> {
    await checkStore(this)
  }

  close(): void {
    this.#connection.close()
  }

  /** A HEAD has no body to tell a missing object from a missing bucket; a GET does. Taking one for the other would call all lost. */
  async #confirmMissing(key: string): Promise<ObjectInfo | null> {
    const input = { ...this.#target(key), Range: 'bytes=0-0' }
    const reply = await this.#unlessMissing(async () => {
      return await this.#connection.download('GetObject', key, (client) => client.send(new GetObjectCommand(input)))
    })
    if (reply === null) return null
    ;(reply.Body as Readable).on('error', () => undefined).destroy()
    throw new CofferError('STORE_UNREACHABLE', `${this.url} says both that ${key} exists and that it does not`)
  }

  async #unlessMissing<T>(call: () => Promise<T>): Promise<T | null> {
    try {
      return await call()
    } catch (error) {
      if (error instanceof CofferError && error.code === 'OBJECT_NOT_FOUND') return null
      throw error
    }
  }

  /** Without it a list would end as if it were whole, or begin again for ever. */
  #next(operation: string, marker: string | undefined): string {
    if (marker !== undefined && marker !== '') return marker
    throw new CofferError('STORE_MISMATCH', `${operation} of ${this.url} says that there is more, and not where`)
  }

  #target(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#connection.settings.bucket, Key: this.#connection.objectKey(key) }
  }

  #scope(prefix: string): { Bucket: string; Prefix: string } {
    return { Bucket: this.#connection.settings.bucket, Prefix: this.#connection.objectKey(prefix) }
  }

  /** The key within the store. */
  #keyOf(objectKey: string): string {
    return objectKey.slice(this.#connection.objectKey('').length)
  }
}
