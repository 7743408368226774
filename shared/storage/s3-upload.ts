import { randomUUID } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3'
import { CofferError } from '../errors.ts'
import type { FailureCode } from '../errors.ts'
import { reached } from '../steps.ts'
import { assertKey } from './object-key.ts'
import { PartFiller } from './part-filler.ts'
import type { Part } from './part-filler.ts'
import { planParts, tooLarge } from './part-plan.ts'
import type { PartPlan } from './part-plan.ts'
import { pullBody } from './pull-body.ts'
import type { S3Connection } from './s3-connection.ts'
import { Confirmation, headOwn, removeOwn, WRITE_MARK } from './s3-confirm.ts'
import type { Reply } from './s3-confirm.ts'
import type { WriteOptions, WrittenObject } from './store.ts'

/** Bytes of parts held in memory at a time: two parts, one being filled while the other is sent, or a single large one. */
const MEMORY = 64 * 1024 * 1024

/** The second when an upload is gone that an earlier try, unanswered, completed. */
const MAY_HAVE_BEEN_APPLIED: FailureCode[] = ['STORE_UNREACHABLE', 'STORE_MISMATCH']

/** Writes one object: a body under one part's size by one request, else by a multipart upload that is aborted on any failure. */
export async function uploadObject(
  connection: S3Connection,
  key: string,
  body: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<WrittenObject> {
  const failure = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal
  const source = pullBody(body, signal)
  try {
    assertKey(key)
    const upload = new Upload(connection, key, options, failure, signal)
    return await upload.run(new PartFiller(source), options.expectedSize)
  } finally {
    await source.close()
  }
}

class Upload {
  readonly #connection: S3Connection
  readonly #key: string
  readonly #target: { Bucket: string; Key: string }
  readonly #creation: ReturnType<typeof creationOf>
  readonly #failure: AbortController
  readonly #signal: AbortSignal
  readonly #confirmation: Confirmation
  readonly #slabs: Buffer[] = []
  #mayBeVisible = false
  /** Marks the object as this very write's, so that a lost reply can be told from a failed request. */
  readonly #mark = randomUUID()

  constructor(
    connection: S3Connection,
    key: string,
    options: WriteOptions,
    failure: AbortController,
    signal: AbortSignal,
  ) {
    this.#connection = connection
    this.#key = key
    this.#target = { Bucket: connection.settings.bucket, Key: connection.objectKey(key) }
    this.#creation = creationOf(connection, options, this.#mark)
    this.#failure = failure
    this.#signal = signal
    this.#confirmation = new Confirmation(connection.settings.checksum)
  }

  async run(filler: PartFiller, expectedSize: number | undefined): Promise<WrittenObject> {
    const plan = planParts(this.#connection.settings.maxParts, expectedSize)
    const first = await filler.fill(this.#slab(1, plan))
    try {
      const reply = first.isLast ? await this.#putWhole(first) : await this.#putParts(filler, first, plan)
      reached('after-complete', { key: this.#key })
      return await this.#confirmation.confirm(this.#connection, this.#key, reply.ETag, this.#signal)
    } catch (error) {
      if (this.#mayBeVisible) await removeOwn(this.#connection, this.#key, this.#mark)
      throw error
    }
  }

  async #putWhole(whole: Part): Promise<Reply> {
    reached('before-complete', { key: this.#key })
    const input = { ...this.#target, ...this.#creation, ...this.#confirmation.sending(whole), Body: whole.bytes }
    const reply = await this.#commit('PutObject', (client) =>
      client.send(new PutObjectCommand(input), { abortSignal: this.#signal }),
    )
    this.#confirmation.heard(whole, reply)
    return reply
  }

  async #putParts(filler: PartFiller, first: Part, plan: PartPlan): Promise<Reply> {
    const uploadId = await this.#create()
    const sending: Promise<void>[] = []
    try {
      const parts = await this.#sendParts(uploadId, filler, first, plan, sending)
      reached('before-complete', { key: this.#key })
      const input = { ...this.#target, UploadId: uploadId, MultipartUpload: { Parts: parts } }
      return await this.#commit('CompleteMultipartUpload', (client) =>
        client.send(new CompleteMultipartUploadCommand(input), { abortSignal: this.#signal }),
      )
    } catch (error) {
      this.#failure.abort(error)
      // A part that arrives after the abort would stay in the store, unseen and paid for.
      await Promise.all(sending)
      await this.#abort(uploadId)
      throw error
    }
  }

  async #create(): Promise<string> {
    const algorithm = this.#connection.settings.checksum === 'when_supported' ? ('CRC32' as const) : undefined
    const input = { ...this.#target, ...this.#creation, ChecksumAlgorithm: algorithm }
    const { UploadId } = await this.#request('CreateMultipartUpload', (client) =>
      client.send(new CreateMultipartUploadCommand(input), { abortSignal: this.#signal }),
    )
    if (UploadId === undefined) throw this.#mismatch('gave no id for an upload')
    return UploadId
  }

  /** Fills one slab while the other, if there is room for two, is sent. `sending` never rejects; once it settles no request is under way. */
  async #sendParts(uploadId: string, filler: PartFiller, first: Part, plan: PartPlan, sending: Promise<void>[]) {
    const { maxParts } = this.#connection.settings
    const parts: CompletedPart[] = []
    let size = 0
    for (let number = 1, part = first; part.bytes.length > 0; number++) {
      size += part.bytes.length
      if (number > maxParts) throw tooLarge(size, maxParts, plan.capacity)
      sending[this.#slot(number, plan)] = this.#sendPart(uploadId, number, part, parts)
      if (part.isLast) break
      const slot = this.#slot(number + 1, plan)
      await (isAlone(plan.sizeOf(number + 1)) ? Promise.all(sending) : sending[slot])
      this.#signal.throwIfAborted()
      part = await filler.fill(this.#slab(number + 1, plan))
    }
    await Promise.all(sending)
    this.#signal.throwIfAborted()
    return parts
  }

  /** Memory for a part, used again and again: garbage of this size is collected too late. */
  #slab(number: number, plan: PartPlan): Buffer {
    const size = plan.sizeOf(number)
    const slot = this.#slot(number, plan)
    const slab = this.#slabs[slot]
    if (slab?.length === size) return slab
    if (isAlone(size)) this.#slabs.length = 0
    return (this.#slabs[slot] = Buffer.allocUnsafeSlow(size))
  }

  #slot(number: number, plan: PartPlan): number {
    return isAlone(plan.sizeOf(number)) ? 0 : number % 2
  }

  async #sendPart(uploadId: string, number: number, part: Part, parts: CompletedPart[]): Promise<void> {
    const input = { ...this.#target, UploadId: uploadId, PartNumber: number, ...this.#confirmation.sending(part) }
    try {
      const reply = await this.#request('UploadPart', (client) =>
        client.send(new UploadPartCommand({ ...input, Body: part.bytes }), { abortSignal: this.#signal }),
      )
      if (reply.ETag === undefined) throw this.#mismatch(`gave no ETag for part ${number}`)
      this.#confirmation.heard(part, reply)
      parts[number - 1] = { PartNumber: number, ETag: reply.ETag, ChecksumCRC32: reply.ChecksumCRC32 }
      if (number === 1) reached('mid-part', { key: this.#key })
    } catch (error) {
      this.#failure.abort(error)
    }
  }

  /** The request that makes the object visible. Its reply may be lost: then the object itself tells whether it was applied. */
  async #commit(operation: string, send: (client: S3Client) => Promise<Reply>): Promise<Reply> {
    return await this.#request(operation, async (client) => {
      try {
        const reply = await send(client)
        this.#mayBeVisible = true
        return reply
      } catch (error) {
        const failure = this.#connection.explain(operation, this.#key, error)
        if (!MAY_HAVE_BEEN_APPLIED.includes(failure.code)) throw failure
        this.#mayBeVisible = true
        const own = await headOwn(client, this.#target, this.#mark, this.#signal).catch(() => null)
        if (own) return own
        throw failure
      }
    })
  }

  /** A failed abort leaves an upload that pendingUploads shows; the failure before it is what the caller must hear of. */
  async #abort(uploadId: string): Promise<void> {
    const input = { ...this.#target, UploadId: uploadId }
    await this.#connection
      .request('AbortMultipartUpload', this.#key, (client) => client.send(new AbortMultipartUploadCommand(input)))
      .catch(() => undefined)
  }

  async #request<T>(operation: string, send: (client: S3Client) => Promise<T>): Promise<T> {
    const patienceMs = this.#connection.timing.uploadPatienceMs
    return await this.#connection.request(operation, this.#key, send, { signal: this.#signal, patienceMs })
  }

  #mismatch(what: string): CofferError {
    return new CofferError('STORE_MISMATCH', `bucket ${this.#target.Bucket} ${what} of ${this.#key}`)
  }
}

const isAlone = (size: number) => size * 2 > MEMORY

function creationOf({ settings }: S3Connection, options: WriteOptions, mark: string) {
  return {
    ContentType: options.contentType,
    StorageClass: ((options.storageClass ?? settings.storageClass) || undefined) as 'STANDARD' | undefined,
    ServerSideEncryption: settings.sse || undefined,
    SSEKMSKeyId: settings.kmsKeyId,
    Metadata: { [WRITE_MARK]: mark },
  }
}
