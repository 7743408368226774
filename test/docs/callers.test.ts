import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { fillTable } from '../support/sample-data.ts'
import { startProducerOf } from '../support/uploads.ts'

const PAGE = await readFile('docs/callers.md', 'utf8')
const block = (language: string) => new RegExp('```' + language + '\\n(.*?)```', 's').exec(PAGE)?.[1] ?? ''

test('the commands of docs/callers.md back up, wait, look at the outcome and fetch the dump', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const source = await createTestDatabase()
  await fillTable(source.url, 10)
  await coffer.addService('DATABASE', source.url)
  await coffer.worker()
  const programs = [
    ['curl', 'bash', '-euo', 'pipefail', '-c', block('sh')],
    ['python', 'python3', '-c', block('python')],
  ]
  for (const [name = '', program = '', ...args] of programs) {
    const file = join(coffer.folder, name)
    const env = {
      PATH: process.env.PATH,
      COFFER_URL: producer.url,
      COFFER_TOKEN: producer.adminToken,
      ENVIRONMENT: coffer.environmentId,
      FILE: file,
    }
    const { stdout } = await promisify(execFile)(program, args, { env })
    expect(stdout).toMatch(/^backup [0-9a-f-]{36} ended: SUCCESS$/m)
    expect((await readFile(file)).subarray(0, 5).toString()).toBe('PGDMP')
  }
  expect(await coffer.catalog.query('SELECT id FROM backups')).toHaveLength(2)
})
