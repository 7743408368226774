import { pause } from './pause.ts'
import { CofferProblem, CofferUnreachable, type Problem } from './errors.ts'

export interface Options {
  /** Of the producer: `https://coffer.example.com`. */
  url: string
  token: string
  /** Default: the platform's own. */
  fetch?: typeof fetch
}

export interface Ask {
  method?: 'GET' | 'POST'
  body?: unknown
  idempotencyKey?: string | undefined
  accept?: string
  signal?: AbortSignal | undefined
}

/** Before a request is sent again that is still under way: half a minute in all, which is what a query may take. */
const BUSY_DELAYS_MS = [100, 200, 500, 1_000, 2_000, 4_000, 8_000, 15_000]

/** Asks the producer, and gives back answers below 400 only. */
export class Http {
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  /** @throws CofferProblem, CofferUnreachable; the reason of the signal */
  async send(
    path: string,
    { method = 'GET', body, idempotencyKey, accept = 'application/json', signal }: Ask = {},
  ): Promise<Response> {
    const { url, token, fetch: send = fetch } = this.options
    const headers: Record<string, string> = { accept, authorization: `Token ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey
    const init: RequestInit = { method, headers, ...(signal && { signal }) }
    if (body !== undefined) init.body = JSON.stringify(body)
    let response: Response
    try {
      response = await send(new URL(path, url), init)
    } catch (error) {
      if (signal?.aborted === true) throw error
      throw new CofferUnreachable(`no answer from ${url}`, { cause: error })
    }
    if (response.status >= 400) throw await refusalOf(response)
    return response
  }

  async json<T>(path: string, ask: Ask = {}): Promise<T> {
    const response = await this.send(path, ask)
    const text = await response.text().catch((cause: unknown) => {
      if (ask.signal?.aborted === true) throw cause
      throw new CofferUnreachable(`the answer of ${path} broke off`, { cause })
    })
    return JSON.parse(text) as T
  }

  /**
   * Makes something once, however often that has to be asked: a lost answer is asked for again with the same key, and so is the answer
   * to a request that is still under way.
   * @throws as send
   */
  async create<T>(path: string, body: unknown, key: string | undefined, signal?: AbortSignal): Promise<T> {
    const ask: Ask = { method: 'POST', body, idempotencyKey: key ?? crypto.randomUUID(), signal }
    const delays = [...BUSY_DELAYS_MS]
    for (let isLost = false; ;) {
      try {
        return await this.json<T>(path, ask)
      } catch (error) {
        const isBusy = error instanceof CofferProblem && error.code === 'IDEMPOTENCY_KEY_BUSY'
        const delay = isBusy ? delays.shift() : error instanceof CofferUnreachable && !isLost ? 0 : undefined
        if (delay === undefined) throw error
        isLost ||= !isBusy
        await pause(delay, signal)
      }
    }
  }
}

async function refusalOf(response: Response): Promise<Error> {
  const text = await response.text()
  try {
    if (/\bproblem\+json\b/.test(response.headers.get('content-type') ?? ''))
      return new CofferProblem(JSON.parse(text) as Problem)
  } catch {
    // Falls through: something between us and the producer has answered.
  }
  return new CofferUnreachable(`${response.url} answered ${response.status} and is no Coffer`)
}
