import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { deadline, waitUntil } from '../../cli/waiting.ts'
import { apiOf, serve } from './support.ts'

const Answer = z.object({ n: z.number() })
const patience = (signal = new AbortController().signal) => ({ signal, pollMs: 1, graceMs: 60_000, now: () => 0 })

/** Answers its requests in turn, the last one for ever: a number as `{n}`, a status as a problem, `drop` by hanging up. */
async function producer(script: readonly (number | 'drop' | 'away' | 'gateway' | 'gone')[]) {
  let asked = 0
  const url = await serve((request, response) => {
    const step = script[Math.min(asked++, script.length - 1)] ?? 'drop'
    const problem = (status: number, code: string) =>
      response
        .writeHead(status, { 'content-type': 'application/problem+json' })
        .end(JSON.stringify({ title: code, status, code, detail: code }))
    if (step === 'drop') request.socket.destroy()
    else if (step === 'away') problem(503, 'SERVICE_UNAVAILABLE')
    else if (step === 'gone') problem(404, 'NOT_FOUND')
    else if (step === 'gateway') response.writeHead(502).end()
    else response.end(JSON.stringify({ n: step }))
  })
  const api = apiOf(url)
  return { ask: () => api.get('/x/', Answer), asked: () => asked }
}

describe('waiting', () => {
  test('asks until it is done and tells of every answer', async () => {
    const { ask, asked } = await producer([1, 2, 3])
    const seen: number[] = []
    expect(
      await waitUntil(
        ask,
        ({ n }) => n === 3,
        ({ n }) => seen.push(n),
        patience(),
      ),
    ).toEqual({ n: 3 })
    expect([seen, asked()]).toEqual([[1, 2, 3], 3])
  })

  test('outlasts a producer that hangs up, is away, or is behind a gateway', async () => {
    const { ask } = await producer([1, 'drop', 'away', 'gateway', 'drop', 2])
    expect(
      await waitUntil(
        ask,
        ({ n }) => n === 2,
        () => undefined,
        patience(),
      ),
    ).toEqual({ n: 2 })
  })

  test('ends with the reason when the producer stays away longer than its grace', async () => {
    const { ask, asked } = await producer([1, 'drop'])
    const options = { ...patience(), graceMs: 35, now: () => asked() * 10 }
    const waited = waitUntil(
      ask,
      () => false,
      () => undefined,
      options,
    )
    await expect(waited).rejects.toMatchObject({ code: 'PRODUCER_UNREACHABLE' })
    expect(asked()).toBe(5)
  })

  test('ends at once on an answer that will not change', async () => {
    const { ask, asked } = await producer([1, 'gone'])
    await expect(
      waitUntil(
        ask,
        () => false,
        () => undefined,
        patience(),
      ),
    ).rejects.toMatchObject({ problem: { code: 'NOT_FOUND' } })
    expect(asked()).toBe(2)
  })

  test('ends with the reason of the signal, also between two questions', async () => {
    const { ask } = await producer([1])
    const [stop, reason] = [new AbortController(), new Error('enough')]
    const waited = waitUntil(
      ask,
      () => false,
      () => setImmediate(() => stop.abort(reason)),
      { ...patience(stop.signal), pollMs: 60_000 },
    )
    await expect(waited).rejects.toBe(reason)
  })
})

describe('a deadline', () => {
  test('ends the wait with WAIT_TIMED_OUT that names what was waited for', async () => {
    const { ask } = await producer([1])
    using limit = deadline(50, 'backup b', { backup: 'b' })
    const expected = {
      code: 'WAIT_TIMED_OUT',
      message: 'backup b was not finished within 0.05 s',
      details: { backup: 'b' },
    }
    await expect(
      waitUntil(
        ask,
        () => false,
        () => undefined,
        patience(limit.signal),
      ),
    ).rejects.toMatchObject(expected)
  })

  test('of undefined never comes', () => {
    using limit = deadline(undefined, 'it')
    expect(limit.signal.aborted).toBe(false)
  })
})
