/** A plain view of the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export interface Chunk {
  bytes: Buffer
  isLast: boolean
}

/**
 * Cuts a stream into chunks of exactly `size` bytes. The last one has 1 to `size` bytes, or none when there are none at all.
 * Chunks that the consumer is done with may go into `spare`: they are filled again, which keeps the garbage small.
 */
export async function* inChunks(
  source: AsyncIterable<Uint8Array>,
  size: number,
  spare: Buffer[] = [],
): AsyncGenerator<Chunk, void, void> {
  let held: Buffer = Buffer.allocUnsafe(size)
  let filled = 0
  for await (const input of source) {
    let rest = asBuffer(input)
    while (filled + rest.length > size) {
      const taken = rest.copy(held, filled)
      yield { bytes: held, isLast: false }
      held = spare.pop() ?? Buffer.allocUnsafe(size)
      filled = 0
      rest = rest.subarray(taken)
    }
    filled += rest.copy(held, filled)
  }
  yield { bytes: held.subarray(0, filled), isLast: true }
}

/**
 * Yields everything but the last `bytes` bytes until the source has ended well, so that whoever consumes it can't finish
 * before the end is proven.
 */
export async function* holdBack(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Buffer, void, void> {
  const held: Buffer[] = []
  let heldBytes = 0
  for await (const chunk of source) {
    held.push(asBuffer(chunk))
    heldBytes += chunk.length
    for (let first = held[0]; first !== undefined && heldBytes > bytes; first = held[0]) {
      const free = Math.min(first.length, heldBytes - bytes)
      if (free === first.length) held.shift()
      else held[0] = Buffer.from(first.subarray(free)) // A copy: what is given out may be released.
      heldBytes -= free
      yield first.subarray(0, free)
    }
  }
  yield* held
}

/** Runs `work` on up to `limit` items at a time and yields the results in the order of the items. */
export async function* mapInOrder<In, Out>(
  source: AsyncIterable<In>,
  limit: number,
  work: (item: In) => Promise<Out>,
): AsyncGenerator<Out, void, void> {
  const running: Promise<Out>[] = []
  try {
    for await (const item of source) {
      const result = work(item)
      result.catch(() => undefined) // thrown when its turn comes
      running.push(result)
      if (running.length >= limit) yield await (running.shift() as Promise<Out>)
    }
    while (running.length > 0) yield await (running.shift() as Promise<Out>)
  } finally {
    await Promise.allSettled(running)
  }
}
