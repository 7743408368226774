import { Readable } from 'node:stream'

export interface PulledBody {
  /** The next chunk, null at the end. Rejects with the signal's reason as soon as the signal aborts. */
  next(): Promise<Uint8Array | null>
  /** Ends the body wherever it stands; waits for its clean-up unless it is stuck in a read that nothing can interrupt. */
  close(): Promise<void>
}

/** Reads a body chunk by chunk such that a stalled source can't hold up an abort. */
export function pullBody(body: AsyncIterable<Uint8Array>, signal: AbortSignal): PulledBody {
  const iterator = body[Symbol.asyncIterator]()
  let isPulling = false
  let interrupt: ((reason: unknown) => void) | undefined
  const onAbort = () => interrupt?.(signal.reason)
  signal.addEventListener('abort', onAbort)

  async function next(): Promise<Uint8Array | null> {
    signal.throwIfAborted()
    isPulling = true
    const result = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      // Before the pull: a source may abort the signal while it is asked.
      interrupt = reject
      const pull = iterator.next().finally(() => (isPulling = false))
      pull.then(resolve, reject)
    })
    return result.done ? null : result.value
  }

  async function close(): Promise<void> {
    signal.removeEventListener('abort', onAbort)
    if (body instanceof Readable) body.destroy()
    // What the body throws while it is closed comes after the outcome is known and must not replace it.
    const closed = Promise.resolve(iterator.return?.()).catch(() => undefined)
    if (!isPulling) await closed
  }

  return { next, close }
}
