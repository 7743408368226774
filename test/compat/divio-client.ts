import { readFile } from 'node:fs/promises'
import { request as send } from 'node:http'
import { join } from 'node:path'
import { expect } from 'vitest'
import { until } from '../support/until.ts'

interface Step {
  step: string
  /** Asked again until the answer has these. */
  poll?: Record<string, unknown>
  request: { method: string; path: string; body?: unknown; file?: true; anonymous?: true }
  response: { status: number; body: unknown }
  /** What later steps need of the answer, by the path to it. */
  keep: Record<string, string>
}

export type Known = Record<string, string>

/**
 * Goes through a fixture as Divio's own client goes through its requests, and compares every answer with the recorded one: `$uuid`, `$text`
 * and `$number` stand for any, `{name}` for what was known or kept; fields beyond those are not looked at, as by the client.
 */
export async function follow(
  fixture: 'pull' | 'push',
  { url, token, known, file }: { url: string; token: string; known: Known; file?: Buffer },
): Promise<Known> {
  const text = await readFile(join(import.meta.dirname, `fixtures/${fixture}.json`), 'utf8')
  const names = { ...known }
  for (const step of JSON.parse(text) as Step[]) {
    const filled = JSON.parse(fill(JSON.stringify(step), names)) as Step
    const answer = filled.poll
      ? await until(async () => {
          const one = await ask(filled, { url, token, file })
          return matches(filled.poll, one.body) && one
        })
      : await ask(filled, { url, token, file })
    expect({ step: step.step, ...answer }).toMatchObject({
      step: step.step,
      status: filled.response.status,
      body: expected(filled.response.body),
    })
    for (const [name, path] of Object.entries(filled.keep)) names[name] = String(at(answer.body, path))
  }
  return names
}

/** `requests` in Python sends a JSON body with every request to the API, also with GET; a PUT of a file has no content type. */
async function ask({ request }: Step, { url, token, file }: { url: string; token: string; file?: Buffer | undefined }) {
  const { method, path, body } = request
  const target = new URL(path, url)
  const bytes = request.file
    ? (file ?? Buffer.alloc(0))
    : body === undefined
      ? Buffer.alloc(0)
      : Buffer.from(JSON.stringify(body))
  const headers = {
    'content-length': bytes.length,
    ...(request.anonymous || request.file
      ? {}
      : { authorization: `Token ${token}`, 'content-type': 'application/json' }),
    accept: '*/*',
    'user-agent': 'divio-cli/compatible',
  }
  return new Promise<{ status: number; body: unknown }>((resolve, reject) => {
    const asked = send(target, { method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body: JSON.parse(Buffer.concat(chunks).toString() || '{}') as unknown,
        }),
      )
    })
    asked.on('error', reject).end(bytes)
  })
}

const fill = (text: string, names: Known) =>
  text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => names[name] ?? whole)

const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value)

/** The recorded answer as vitest compares it; of a list, only as many as were recorded. */
function expected(value: unknown): unknown {
  if (value === '$uuid') return expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  if (value === '$text') return expect.any(String)
  if (value === '$number') return expect.any(Number)
  if (Array.isArray(value)) return value.length === 0 ? [] : expect.arrayContaining([expected(value[0])])
  if (typeof value !== 'object' || value === null) return value
  return expect.objectContaining(
    Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, expected(inner)])),
  )
}

const matches = (wanted: unknown, found: unknown) => {
  try {
    expect(found).toEqual(expected(wanted))
    return true
  } catch {
    return false
  }
}
