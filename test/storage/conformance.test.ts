import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest'
import { openStore } from '../../shared/storage/open-store.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import type { S3Server } from '../support/s3-server/server.ts'
import { describeStore } from './conformance.ts'

/** The URL of a real S3-compatible bucket; credentials by the SDK's usual chain. */
const REAL_S3 = process.env.COFFER_TEST_S3_URL

describe('a folder', () => {
  describeStore(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coffer-store-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    return openStore(pathToFileURL(join(folder, 'made when it is prepared')).href)
  })
})

describe.each(['', 'checksum=when_supported'])('the S3 test server, %s', (parameters) => {
  let server: S3Server
  beforeAll(async () => {
    server = await startS3Server({ pageSize: 2, parameters })
  })
  afterAll(() => server.close())

  describeStore(() => {
    const url = server.url.replace('/backups', `/backups/${randomUUID()}`)
    return Promise.resolve(openStore(url, { credentials: server.keys }))
  })
})

describe.skipIf(REAL_S3 === undefined)('the S3 server of COFFER_TEST_S3_URL', () => {
  describeStore(() => {
    const url = new URL(REAL_S3 ?? 's3://none')
    url.pathname = join(url.pathname, randomUUID())
    return Promise.resolve(openStore(url.href))
  })
})
