import { createHash } from 'node:crypto'

export async function drain(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The bytes in chunks of one size. */
export async function* inPieces(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size)
    yield await Promise.resolve(Buffer.from(bytes.subarray(at, at + size)))
}

/** Half random, half text, the same for the same size: neither incompressible nor trivial. */
export function sampleBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size + 128)
  let block = createHash('sha512').update(String(size)).digest()
  for (let at = 0; at < size; at += 128) {
    block = createHash('sha512').update(block).digest()
    block.copy(bytes, at)
    bytes.write(`row ${at} of a table that compresses quite well\n`, at + 64)
  }
  return bytes.subarray(0, size)
}

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
