import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { EXAMPLES } from '../../producer/examples.ts'
import { OUTSIDE_PATHS } from '../../producer/openapi-outside.ts'
import { templateOf } from '../../producer/openapi.ts'
import { DOCUMENT, ROUTES } from '../support/answers.ts'
import { startTestProducer } from '../support/producer.ts'

test('the document is OpenAPI 3.1 by another reading of the standard', async () => {
  const { valid, errors } = await new Validator().validate(
    structuredClone(DOCUMENT) as object as Record<string, unknown>,
  )
  expect(errors ?? []).toEqual([])
  expect(valid).toBe(true)
})

test('the document has every route with its role and codes, and nothing else', () => {
  const operations = Object.entries(DOCUMENT.paths)
    .filter(([path]) => !(path in OUTSIDE_PATHS))
    .flatMap(([path, byMethod]) =>
      Object.entries(byMethod).map(
        ([method, operation]) => `${method.toUpperCase()} ${path} ${operation['x-role'] ?? ''}`,
      ),
    )
  expect(operations.sort()).toEqual(
    ROUTES.map(({ method, path, role }) => `${method} ${templateOf(path)} ${role}`).sort(),
  )
  const ids = Object.values(DOCUMENT.paths).flatMap((byMethod) =>
    Object.values(byMethod).map(({ operationId }) => operationId),
  )
  expect(new Set(ids).size).toBe(ids.length)
})

test('every change that takes a body has an example, and every example is of a route', () => {
  const changes = ROUTES.filter(({ body }) => body).map(({ method, path }) => `${method} ${path}`)
  expect(Object.keys(EXAMPLES).sort()).toEqual(changes.sort())
})

test('the document and the page are there for everybody, and the page needs nothing from elsewhere', async () => {
  await using producer = await startTestProducer()
  const served = await producer.ask('GET', '/openapi.json', { token: null })
  expect(served.body).toEqual(JSON.parse(JSON.stringify(DOCUMENT)))
  const page = await producer.ask('GET', '/reference', { token: null })
  expect(page.headers.get('content-type')).toMatch(/^text\/html/)
  for (const { path, summary } of ROUTES) {
    expect(page.text).toContain(`<code>${templateOf(path)}</code>`)
    expect(page.text).toContain(summary.replaceAll("'", '&#39;'))
  }
  expect(page.text).not.toMatch(/<script|src=|https?:\/\/(?!(chat|s3|db)\.)/)
  for (const path of ['/openapi.json', '/reference'])
    expect((await producer.ask('POST', path, { token: null })).headers.get('allow')).toBe('GET, HEAD')
})
