import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'
import { plantTar } from '../support/repacks.ts'
import { services, startProducerOf } from '../support/uploads.ts'

test('the commands of docs/upload.md bring a backup in', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const { storage } = await services(coffer)
  await writeFile(join(coffer.folder, 'media.tar'), plantTar([{ path: 'a', content: 'a' }]))
  const [, script = ''] = /```sh\n(.*?)```/s.exec(await readFile('docs/upload.md', 'utf8')) ?? []
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
    env: {
      PATH: process.env.PATH,
      COFFER_URL: producer.url,
      COFFER_TOKEN: producer.adminToken,
      ENVIRONMENT: coffer.environmentId,
      SERVICE: storage,
      FILE: join(coffer.folder, 'media.tar'),
    },
  })
  expect(stdout).toMatch(/"size":2048,.*"state":"QUEUED"/s)
  await coffer.worker()
  const [row] = await coffer.catalog.query<{ id: string }>('SELECT id FROM backups')
  expect(await coffer.ended(row?.id ?? '')).toMatchObject({ success: 'SUCCESS', notes: 'from the old server' })
})
