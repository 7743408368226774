import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { apiRoutes } from '../../producer/app.ts'
import type { Producer } from '../../producer/producer.ts'
import { startTestProducer } from '../support/producer.ts'

const PAGE = await readFile('docs/api.md', 'utf8')
const blocks = (language: string) =>
  [...PAGE.matchAll(new RegExp('```' + language + '\\n(.*?)```', 'gs'))].map(([, text = '']) => text)

test('docs/api.md lists every route with its role, and no other', () => {
  const listed = [...PAGE.matchAll(/^\| (GET|POST|PATCH|DELETE) +\| `([^`]+)` +\| (\w+) +\|/gm)]
  const routes = apiRoutes({ settings: {} } as Producer)
  expect(listed.map(([, ...row]) => row.join(' '))).toEqual(
    routes.map(({ method, path, role }) => `${method} ${path} ${role}`),
  )
})

test('the commands of docs/api.md run, and the error that it shows is the one that comes', async () => {
  await using producer = await startTestProducer()
  const outputs: string[] = []
  for (const script of blocks('sh')) {
    const env = { PATH: process.env.PATH, COFFER_URL: producer.url, COFFER_TOKEN: producer.place.adminToken }
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], { env })
    outputs.push(stdout)
  }
  expect(outputs.join('\n')).toContain('"notes":"before the update"')
  const [shown = ''] = blocks('json')
  const problem = JSON.parse(outputs.at(-1) ?? '') as Record<string, unknown>
  expect({ ...problem, request_id: '' }).toEqual({ ...(JSON.parse(shown) as object), request_id: '' })
})
