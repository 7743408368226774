import { z } from 'zod'
import { CofferError } from '../shared/errors.ts'
import type { Address } from './address.ts'
import { Problem, ProducerProblem } from './problem.ts'

const REQUEST_TIMEOUT_MS = 30_000
const PAGE_SIZE = 100
/** What a proxy answers while the producer is away. */
const GATEWAY_STATUSES = new Set([502, 503, 504])

const Page = z.object({ next: z.string().nullable(), results: z.array(z.unknown()) })

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/**
 * The producer's API. Every call throws ProducerProblem (what the producer answered), PRODUCER_UNREACHABLE (no answer) or ANSWER_INVALID (no
 * Coffer there), or the reason of the signal.
 */
export class Api {
  readonly address: Address
  readonly #signal: AbortSignal

  constructor(address: Address, signal: AbortSignal) {
    this.address = address
    this.#signal = signal
  }

  /** The same API, its calls also ended by another signal. */
  until(signal: AbortSignal): Api {
    return new Api(this.address, AbortSignal.any([this.#signal, signal]))
  }

  get signal(): AbortSignal {
    return this.#signal
  }

  async get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return this.#call('GET', path, schema)
  }

  async post<T>(path: string, body: unknown, schema: z.ZodType<T>, timeoutMs?: number): Promise<T> {
    return this.#call('POST', path, schema, body, timeoutMs)
  }

  async patch<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    return this.#call('PATCH', path, schema, body)
  }

  async delete(path: string): Promise<void> {
    await this.#call('DELETE', path, z.unknown())
  }

  /** Follows the pages until `limit` results are there. */
  async list<T>(path: string, query: Record<string, string>, schema: z.ZodType<T>, limit = Infinity): Promise<T[]> {
    const results: T[] = []
    let search = new URLSearchParams({ ...query, page_size: String(Math.min(PAGE_SIZE, limit)) })
    for (;;) {
      const page = await this.get(`${path}?${search.toString()}`, Page)
      results.push(...page.results.map((result) => this.#parse(schema, result, path)))
      if (page.next === null || results.length >= limit) return results.slice(0, limit)
      // Only the query: behind a proxy the producer may not know its own address, and the token goes to no other.
      search = new URL(page.next, this.address.url).searchParams
    }
  }

  /** Bytes from an address that the producer handed out, without a deadline. The token goes to the producer only. */
  async open(link: string): Promise<Response> {
    const url = new URL(link, this.address.url)
    const headers = {
      'accept-encoding': 'identity',
      ...(url.origin === this.address.url.origin ? this.#authorization() : {}),
    }
    const response = await this.#fetch(url, { headers, signal: this.#signal })
    if (!response.ok || !response.body) throw await this.#problemOf(response, url.pathname)
    return response
  }

  /** Streams a body to an address that the producer handed out, without a deadline. The address is the secret: no token goes with it. */
  async put<T>(link: string, body: ReadableStream, schema: z.ZodType<T>): Promise<T> {
    const url = new URL(link, this.address.url)
    const init = { method: 'PUT', body, duplex: 'half', signal: this.#signal } as RequestInit
    return this.#answerOf(await this.#fetch(url, init), url.pathname, schema)
  }

  /** Asks for what an address that the producer handed out is for. The address is the secret: no token goes with it. */
  async postLink(link: string): Promise<void> {
    const url = new URL(link, this.address.url)
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)])
    await this.#answerOf(await this.#fetch(url, { method: 'POST', signal }), url.pathname, z.unknown())
  }

  async #answerOf<T>(response: Response, path: string, schema: z.ZodType<T>): Promise<T> {
    if (!response.ok) throw await this.#problemOf(response, path)
    const text = await this.#text(response)
    return this.#parse(schema, text === '' ? undefined : this.#json(text, response, path), path)
  }

  async #call<T>(
    method: Method,
    path: string,
    schema: z.ZodType<T>,
    body?: unknown,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<T> {
    const url = new URL(path.replace(/^\//, ''), this.address.url)
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(timeoutMs)])
    const response = await this.#fetch(url, {
      method,
      signal,
      headers: {
        accept: 'application/json',
        ...this.#authorization(),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return this.#answerOf(response, path, schema)
  }

  #authorization() {
    return { authorization: `Token ${this.address.token}` }
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    try {
      return await fetch(url, { ...init, redirect: 'manual' })
    } catch (cause) {
      throw this.#unreachable(cause)
    }
  }

  async #text(response: Response): Promise<string> {
    try {
      return await response.text()
    } catch (cause) {
      throw this.#unreachable(cause)
    }
  }

  #unreachable(cause: unknown): Error {
    if (this.#signal.aborted) return toError(this.#signal.reason)
    const { url, urlFrom } = this.address
    return new CofferError(
      'PRODUCER_UNREACHABLE',
      `cannot reach the producer at ${url.href} (from ${urlFrom}): ${reasonOf(cause)}`,
      { cause },
    )
  }

  async #problemOf(response: Response, path: string): Promise<Error> {
    const { url, urlFrom, tokenFrom } = this.address
    const location = response.headers.get('location')
    if (location !== null) {
      return new CofferError(
        'ANSWER_INVALID',
        `${url.href} (from ${urlFrom}) redirects to ${location}; redirects are not followed`,
      )
    }
    const text = await this.#text(response)
    const parsed = Problem.safeParse(isJson(response) ? this.#json(text, response, path) : undefined)
    if (!parsed.success && GATEWAY_STATUSES.has(response.status)) {
      return this.#unreachable(new Error(`a gateway answered with status ${response.status}`))
    }
    if (!parsed.success) return this.#notCoffer(`status ${response.status} without a problem document`, path)
    if (response.status !== 401) return new ProducerProblem(parsed.data)
    return new ProducerProblem({
      ...parsed.data,
      detail: `the producer at ${url.href} refused the token from ${tokenFrom}: ${parsed.data.detail}`,
      remedy: this.#remedyOfToken(),
    })
  }

  /** By where the token is from: what is kept for this address goes before COFFER_TOKEN alone. */
  #remedyOfToken(): string {
    const { url, tokenFrom } = this.address
    return tokenFrom === 'COFFER_TOKEN'
      ? 'set COFFER_TOKEN to a token that this producer knows'
      : `give one that this producer knows: coffer login ${url.href}, or set both COFFER_URL and COFFER_TOKEN`
  }

  #json(text: string, response: Response, path: string): unknown {
    try {
      return JSON.parse(text)
    } catch {
      const type = response.headers.get('content-type') ?? 'no content type'
      throw this.#notCoffer(`status ${response.status} with ${type} instead of JSON`, path)
    }
  }

  #parse<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw this.#notCoffer(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`, path)
  }

  #notCoffer(what: string, path: string): CofferError {
    const { url, urlFrom } = this.address
    return new CofferError('ANSWER_INVALID', `${url.href} (from ${urlFrom}) answered ${path} unexpectedly: ${what}`)
  }
}

const isJson = (response: Response) => /\bjson\b/.test(response.headers.get('content-type') ?? '')

const toError = (thrown: unknown) => (thrown instanceof Error ? thrown : new Error(String(thrown)))

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  if (thrown.name === 'TimeoutError') return 'no answer in time'
  const cause = thrown.cause instanceof AggregateError ? (thrown.cause.errors[0] as unknown) : thrown.cause
  if (!(cause instanceof Error)) return thrown.message
  return 'code' in cause && cause.code === 'ECONNREFUSED' ? 'connection refused' : cause.message
}
