/** Smaller ones may be cut out of a buffer that Node keeps for many. */
const LEAST_RELEASED_BYTES = 32 * 1024
/** Room behind a chunk that nobody else was given. */
export const ROOM_TO_SPARE = 64

/**
 * Gives the memory of a chunk back at once; the chunk is empty afterwards. Only for the last who has it. What streams hold lies outside
 * of V8's heap, and V8 collects the whole heap for every 64 MiB of it: that took a quarter of the processor time of a restore. A chunk
 * that leaves out a part of its buffer is left to the collector, since somebody may have the rest.
 */
export function release({ buffer, byteOffset, byteLength }: Uint8Array): void {
  const isWhole = byteOffset === 0 && byteLength + ROOM_TO_SPARE >= buffer.byteLength
  if (!isWhole || byteLength < LEAST_RELEASED_BYTES || !(buffer instanceof ArrayBuffer)) return
  try {
    buffer.transfer(0)
  } catch {
    // Whoever made it forbids that: it is left to the collector.
  }
}

/** Passes a stream on to who is done with each chunk when asking for the next, and releases it then. */
export async function* releasing<Bytes extends Uint8Array>(
  source: AsyncIterable<Bytes>,
): AsyncGenerator<Bytes, void, void> {
  for await (const chunk of source) {
    yield chunk
    release(chunk)
  }
}
