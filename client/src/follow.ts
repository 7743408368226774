import { CofferProblem, CofferUnreachable } from './errors.ts'
import type { Http } from './http.ts'
import { pause } from './pause.ts'

export interface Wait<State> {
  signal?: AbortSignal
  onProgress?: (state: State) => void
}

interface Followed<State> extends Wait<State> {
  /** Of the thing; its events are at `${path}events/`. */
  path: string
  hasEnded: (state: State) => boolean
}

const POLL_MS = 2_000
/** Streams that broke without a word; then it asks now and then instead. */
const MOST_BROKEN = 3

/** The state of something when it has ended. By its events; where these don't come through, by asking. @throws as Http.send */
export async function follow<State>(
  http: Http,
  { path, hasEnded, signal, onProgress }: Followed<State>,
): Promise<State> {
  let broken = 0
  for (;;) {
    signal?.throwIfAborted()
    if (broken < MOST_BROKEN) {
      const { last, hasSpoken } = await listen<State>(http, `${path}events/`, signal, onProgress)
      if (last !== null) return last
      broken = hasSpoken ? 0 : broken + 1
    }
    const state = await readOnce<State>(http, path, signal)
    if (state !== null) {
      if (hasEnded(state)) return state
      onProgress?.(state)
    }
    await pause(POLL_MS, signal)
  }
}

/** null: nothing answers now, and may do so again. */
async function readOnce<State>(http: Http, path: string, signal: AbortSignal | undefined): Promise<State | null> {
  try {
    return await http.json<State>(path, { signal })
  } catch (error) {
    if (isPassing(error)) return null
    throw error
  }
}

/** What a restart of the producer or a busy one looks like. */
const isPassing = (error: unknown): boolean =>
  error instanceof CofferUnreachable || (error instanceof CofferProblem && [429, 503].includes(error.status))

interface Heard<State> {
  /** What it was at its end; null: the stream broke before. */
  last: State | null
  hasSpoken: boolean
}

async function listen<State>(
  http: Http,
  path: string,
  signal: AbortSignal | undefined,
  onProgress: ((state: State) => void) | undefined,
): Promise<Heard<State>> {
  let hasSpoken = false
  const broken: Heard<State> = { last: null, hasSpoken }
  const response = await http.send(path, { accept: 'text/event-stream', signal }).catch((error: unknown) => {
    if (isPassing(error)) return null
    throw error
  })
  if (!response?.body) return broken
  const events = eventsOf(response.body)
  for (;;) {
    // What reading throws is that the connection is gone; what `onProgress` throws is the caller's own.
    const next = await events.next().catch(() => null)
    signal?.throwIfAborted()
    if (next === null || next.done === true) return { last: null, hasSpoken }
    hasSpoken = true
    const { event, data } = next.value
    const state = JSON.parse(data) as State
    if (event === 'end') return { last: state, hasSpoken }
    onProgress?.(state)
  }
}

/** The events of a stream of server-sent events; comments and what else it may have are left out. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<{ event: string; data: string }> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      text += decoder.decode(value, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        // By line feeds only: to a regular expression, U+2028 in a text ends a line as well.
        const lines = block.split('\n')
        const valueOf = (name: string) => lines.find((line) => line.startsWith(name))?.slice(name.length)
        const [event, data] = [valueOf('event: '), valueOf('data: ')]
        if (event !== undefined && data !== undefined) yield { event, data }
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
