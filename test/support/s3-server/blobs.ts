import { createHash, randomUUID } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

/** Where bodies are kept: in memory, on disk, or nowhere (large runs that only count and hash; GET is then refused). */
export type Keep = 'memory' | 'nothing' | { folder: string }

export interface Blob {
  size: number
  md5: string
  /** Base64 except `sha256Hex`. */
  checksums: { crc32: string; sha256: string }
  sha256Hex: string
  chunks?: Buffer[]
  path?: string
}

/** Stores a body whole or not at all. */
export async function storeBlob(body: AsyncIterable<Buffer>, keep: Keep): Promise<Blob> {
  const hashes = { md5: createHash('md5'), sha256: createHash('sha256') }
  const path = typeof keep === 'object' ? join(keep.folder, randomUUID()) : undefined
  const handle = path === undefined ? undefined : await open(path, 'wx')
  const chunks: Buffer[] = []
  let crc = 0
  let size = 0
  try {
    for await (const chunk of body) {
      for (const hash of Object.values<Hash>(hashes)) hash.update(chunk)
      crc = crc32(chunk, crc)
      size += chunk.length
      if (keep === 'memory') chunks.push(chunk)
      await handle?.appendFile(chunk)
    }
  } catch (error) {
    if (path !== undefined) await rm(path)
    throw error
  } finally {
    await handle?.close()
  }
  const sha256 = hashes.sha256.digest()
  const crcBytes = Buffer.alloc(4)
  crcBytes.writeUInt32BE(crc)
  return {
    size,
    md5: hashes.md5.digest('hex'),
    checksums: {
      crc32: crcBytes.toString('base64'),
      sha256: sha256.toString('base64'),
    },
    sha256Hex: sha256.toString('hex'),
    ...(keep === 'memory' && { chunks }),
    ...(path !== undefined && { path }),
  }
}

/** Bytes `start` to `end` (inclusive) of blobs laid end to end. */
export async function* readBlobs(blobs: Blob[], start: number, end: number): AsyncGenerator<Buffer> {
  let offset = 0
  for (const blob of blobs) {
    const from = Math.max(start - offset, 0)
    const to = Math.min(end - offset, blob.size - 1)
    if (from <= to) yield* readBlob(blob, from, to)
    offset += blob.size
  }
}

async function* readBlob(blob: Blob, from: number, to: number): AsyncGenerator<Buffer> {
  if (blob.path !== undefined) {
    yield* createReadStream(blob.path, { start: from, end: to }) as AsyncIterable<Buffer>
    return
  }
  if (!blob.chunks) throw new Error('this server keeps no bodies')
  let offset = 0
  for (const chunk of blob.chunks) {
    const piece = chunk.subarray(Math.max(from - offset, 0), Math.max(to - offset + 1, 0))
    if (piece.length > 0) yield piece
    offset += chunk.length
  }
}

export async function removeBlobs(blobs: Iterable<Blob>): Promise<void> {
  for (const { path } of blobs) if (path !== undefined) await rm(path, { force: true })
}
