import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { openStore } from '../../shared/storage/open-store.ts'
import type { Store } from '../../shared/storage/store.ts'
import { everyMethod } from './s3-rig.ts'

const TIMING = { patienceMs: 40, uploadPatienceMs: 40, firstDelayMs: 1 }

/** A store behind something that answers in its place. */
async function behind<T>(answer: RequestListener, use: (store: Store) => Promise<T>): Promise<T> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `s3://bucket?region=x&forcePathStyle=true&endpoint=http://127.0.0.1:${port}`
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
  const store = openStore(url, { credentials, timing: TIMING })
  try {
    return await use(store)
  } finally {
    store.close()
    server.closeAllConnections()
    server.close()
  }
}

const methodOf = (name: string) => everyMethod.find(([method]) => method === name)?.[1]

const GATEWAYS: [string, RequestListener][] = [
  ['an empty 404', (_request, response) => response.writeHead(404, { 'content-length': 0 }).end()],
  ['a page of HTML with 404', (_request, response) => response.writeHead(404).end('<html><hr>nginx</html>')],
  ['an empty 408', (_request, response) => response.writeHead(408, { 'content-length': 0 }).end()],
]

test.each(
  GATEWAYS.flatMap(([what, answer]) => everyMethod.map(([method, call]) => [method, what, call, answer] as const)),
)(
  'F31 %s that a gateway answers with %s is STORE_UNREACHABLE: nothing is gone, nothing is refused for ever',
  async (_method, _what, call, answer) => {
    await expect(behind(answer, call)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
  },
)

test.each([
  ['less', 'bytes 0-511/5000', 512],
  ['more', 'bytes 0-4999/5000', 5000],
  ['something else', 'bytes 1-1000/5000', 1000],
])('a range that is answered with %s than was asked for is STORE_MISMATCH', async (_what, range, size) => {
  const answer: RequestListener = (_request, response) =>
    response.writeHead(206, { 'content-range': range, 'content-length': size }).end(Buffer.alloc(size))
  const read = behind(answer, async (store) => buffer(await store.read('object', { start: 0, end: 999 })))
  await expect(read).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
})

test.each([
  ['list', '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>', methodOf('list')],
  [
    'pendingUploads',
    '<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>',
    methodOf('pendingUploads'),
  ],
])('%s that says there is more, and not where, is STORE_MISMATCH', async (_method, page, call) => {
  const answer: RequestListener = (_request, response) =>
    response.writeHead(200, { 'content-type': 'application/xml' }).end(page)
  await expect(behind(answer, call as (store: Store) => Promise<unknown>)).rejects.toMatchObject({
    code: 'STORE_MISMATCH',
  })
})
