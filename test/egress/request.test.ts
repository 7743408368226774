import { expect, test } from 'vitest'
import { egressPolicy } from '../../shared/egress/policy.ts'
import { sendRequest } from '../../shared/egress/request.ts'
import { startHttpReceiver } from '../support/http-receiver.ts'

const NAMED = egressPolicy(['127.0.0.1/32'])

test('F40 a listener on this machine sees no connection, however its address is written', async () => {
  await using receiver = await startHttpReceiver()
  const { port } = new URL(receiver.url)
  const hosts = [
    '127.0.0.1',
    'localhost',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '[::ffff:127.0.0.1]',
    '0.0.0.0',
    '127.1',
  ]
  for (const host of hosts)
    for (const scheme of ['http', 'https']) {
      const sent = sendRequest({
        url: `${scheme}://${host}:${port}/`,
        method: 'POST',
        body: '{}',
        policy: egressPolicy([]),
      })
      await expect(sent, host).rejects.toMatchObject({ code: 'EGRESS_REFUSED' })
    }
  expect(receiver.connections).toBe(0)
})

test('F40 a name whose second answer is another is connected to by its first, and refused by what it answers then', async () => {
  await using receiver = await startHttpReceiver()
  const { port } = new URL(receiver.url)
  const asked: string[] = []
  const alternating = (host: string) => {
    asked.push(host)
    return Promise.resolve([{ address: asked.length % 2 === 1 ? '127.0.0.1' : '10.9.9.9' }])
  }
  const request = { url: `http://rebind.example.com:${port}/hook`, method: 'POST', body: '{}' } as const
  // Allowed by the first answer, and sent there: nobody asks a second time, so that no second answer can lead elsewhere.
  expect(await sendRequest({ ...request, policy: NAMED, lookup: alternating })).toBe(204)
  expect([asked.length, receiver.connections]).toEqual([1, 1])
  expect(receiver.received[0]?.headers.host).toBe(`rebind.example.com:${port}`)
  await expect(sendRequest({ ...request, policy: NAMED, lookup: alternating })).rejects.toMatchObject({
    code: 'EGRESS_REFUSED',
  })
  expect([asked.length, receiver.connections]).toEqual([2, 1])
})

test('F40 a redirect is not followed', async () => {
  await using elsewhere = await startHttpReceiver()
  await using receiver = await startHttpReceiver()
  receiver.answer = 302
  expect(await sendRequest({ url: `${receiver.url}/hook`, method: 'POST', policy: NAMED })).toBe(302)
  expect([receiver.received.length, elsewhere.connections]).toEqual([1, 0])
})

test('F45 a receiver that never answers is left alone when the time is up', async () => {
  await using receiver = await startHttpReceiver()
  receiver.answer = 'hang'
  const sent = sendRequest({ url: receiver.url, method: 'POST', policy: NAMED, timeoutMs: 1_000 })
  await expect(sent).rejects.toMatchObject({ name: 'TimeoutError' })
})

test('F45 a resolver that never answers is given up when the time is up', async () => {
  const never = () => new Promise<never>(() => undefined)
  const sent = sendRequest({ url: 'https://a.example.com', method: 'GET', policy: NAMED, lookup: never, timeoutMs: 50 })
  await expect(sent).rejects.toMatchObject({ name: 'TimeoutError' })
})
