import type { RequestListener } from 'node:http'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { apiOf, deadUrl, serve, TOKEN } from './support.ts'

const Thing = z.looseObject({ uuid: z.string() })
const failing = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) as string })

describe('a producer that cannot be reached', () => {
  test('is named with its address, where that came from and why', async () => {
    const url = await deadUrl()
    const expected = failing(
      'PRODUCER_UNREACHABLE',
      new RegExp(`^cannot reach the producer at ${url} \\(from COFFER_URL\\): connection refused$`),
    )
    await expect(apiOf(url).get('/x/', Thing)).rejects.toMatchObject(expected)
  })

  test('may have dropped the connection before the answer', async () => {
    const url = await serve((request) => request.socket.destroy())
    await expect(apiOf(url).get('/x/', Thing)).rejects.toMatchObject(failing('PRODUCER_UNREACHABLE', /cannot reach/))
  })

  test('may have dropped it within the answer', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
      response.write('{"uuid":', () => response.destroy())
    })
    await expect(apiOf(url).get('/x/', Thing)).rejects.toMatchObject(failing('PRODUCER_UNREACHABLE', /cannot reach/))
  })

  test.each([502, 503, 504])('may be behind a gateway that answers %d', async (status) => {
    const url = await serve((_request, response) =>
      response.writeHead(status, { 'content-type': 'text/html' }).end('<h1>Bad</h1>'),
    )
    const expected = failing('PRODUCER_UNREACHABLE', new RegExp(`a gateway answered with status ${status}`))
    await expect(apiOf(url).get('/x/', Thing)).rejects.toMatchObject(expected)
  })
})

describe('an answer that no producer gives', () => {
  test.each([
    [200, 'text/html', '<html>', /status 200 with text\/html instead of JSON/],
    [200, 'application/json', '{"uuid":7}', /answered \/x\/ unexpectedly: uuid: /],
    [200, 'application/json', '', /unexpectedly/],
    [404, 'text/html', '<html>', /status 404 without a problem document/],
    [500, 'application/json', '{"error":"no"}', /status 500 without a problem document/],
    [500, 'application/problem+json', '{"detail":', /instead of JSON/],
  ])('(%d %s %s) is ANSWER_INVALID', async (status, type, body, message) => {
    const url = await serve((_request, response) => response.writeHead(status, { 'content-type': type }).end(body))
    await expect(apiOf(url).get('/x/', Thing)).rejects.toMatchObject(failing('ANSWER_INVALID', message))
  })

  test('a redirect is told, not followed: the token stays', async () => {
    let followed = false
    const elsewhere = await serve((_request, response) => {
      followed = true
      response.end('{"uuid":"u"}')
    })
    const url = await serve((_request, response) => response.writeHead(302, { location: elsewhere }).end())
    await expect(apiOf(url).get('/x/', Thing)).rejects.toMatchObject(
      failing('ANSWER_INVALID', /redirects to .* not followed/),
    )
    expect(followed).toBe(false)
  })
})

describe('a problem document', () => {
  const problem = {
    type: 'about:blank',
    title: 'Not found',
    status: 404,
    code: 'BRAND_NEW',
    detail: 'there is no x',
    remedy: 'look',
    request_id: 'r',
  }

  test('is kept whole, also with a code of a newer producer', async () => {
    const url = await serve((_request, response) =>
      response.writeHead(404, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem)),
    )
    await expect(apiOf(url).get('/x/', Thing)).rejects.toMatchObject({ problem })
  })

  test('about the token says which token, and how to give another', async () => {
    const body = { ...problem, status: 401, code: 'UNAUTHENTICATED', detail: 'the token is unknown' }
    const url = await serve((_request, response) =>
      response.writeHead(401, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body)),
    )
    const told = {
      detail: `the producer at ${url} refused the token from COFFER_TOKEN: the token is unknown`,
      remedy: /COFFER_TOKEN/,
    }
    const thrown: unknown = await apiOf(url)
      .get('/x/', Thing)
      .catch((reason: unknown) => reason)
    expect(thrown).toMatchObject({
      problem: { detail: told.detail, remedy: expect.stringMatching(told.remedy) as string },
    })
    expect(JSON.stringify(thrown)).not.toContain(TOKEN)
  })
})

describe('requests', () => {
  test('carry the token and JSON, under the path of the address', async () => {
    const seen: unknown[] = []
    const url = await serve((request, response) => {
      void request
        .setEncoding('utf8')
        .toArray()
        .then((body) => {
          seen.push([
            request.method,
            request.url,
            request.headers.authorization,
            request.headers['content-type'],
            body.join(''),
          ])
          response.end('{"uuid":"u","more":1}')
        })
    })
    expect(await apiOf(`${url}base/`).post('/apps/v3/x/', { a: 1 }, Thing)).toEqual({ uuid: 'u', more: 1 })
    expect(seen).toEqual([['POST', '/base/apps/v3/x/', `Token ${TOKEN}`, 'application/json', '{"a":1}']])
  })

  test('end with the reason of the signal', async () => {
    const reason = new Error('enough')
    const stop = new AbortController()
    const url = await serve(() => stop.abort(reason))
    await expect(apiOf(url, stop.signal).get('/x/', Thing)).rejects.toBe(reason)
  })

  test('that delete need no answer', async () => {
    const url = await serve((_request, response) => response.writeHead(204).end())
    await expect(apiOf(url).delete('/x/')).resolves.toBeUndefined()
  })
})

describe('lists', () => {
  /** Pages of two of the numbers below `count`; `next` names a host that the client must not go to. */
  const pages =
    (count: number, asked: string[]): RequestListener =>
    (request, response) => {
      asked.push(request.url ?? '')
      const query = new URL(request.url ?? '', 'http://x').searchParams
      const page = Number(query.get('page') ?? 1)
      const results = [2 * page - 2, 2 * page - 1].filter((n) => n < count).map((n) => ({ uuid: String(n) }))
      const next = 2 * page < count ? `http://inside.invalid:1/x/?page=${page + 1}&env=${query.get('env') ?? ''}` : null
      response.end(JSON.stringify({ count, next, previous: null, results }))
    }

  test.each([0, 1, 2, 3, 5])('of %d results are followed to their end, at the address that is known', async (count) => {
    const asked: string[] = []
    const url = await serve(pages(count, asked))
    const results = await apiOf(url).list('/x/', { env: 'live' }, Thing)
    expect(results.map(({ uuid }) => uuid)).toEqual(Array.from({ length: count }, (_, n) => String(n)))
    expect(asked.every((path) => path.includes('env=live'))).toBe(true)
  })

  test('stop at the limit', async () => {
    const asked: string[] = []
    const url = await serve(pages(9, asked))
    expect(await apiOf(url).list('/x/', {}, Thing, 3)).toHaveLength(3)
    expect(asked).toHaveLength(2)
  })
})

test('the token goes with a download link of the producer, and with no other', async () => {
  const seen: (string | undefined)[] = []
  const listener: RequestListener = (request, response) => {
    seen.push(request.headers.authorization)
    response.end('x')
  }
  const [producer, elsewhere] = [await serve(listener), await serve(listener)]
  for (const link of ['/download?signature=s', elsewhere]) await (await apiOf(producer).open(link)).text()
  expect(seen).toEqual([`Token ${TOKEN}`, undefined])
})
