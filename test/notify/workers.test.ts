import { expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'
import { startHttpReceiver } from '../support/http-receiver.ts'
import { startMailReceiver } from '../support/mail-receiver.ts'
import { dumpAsText } from '../support/postgres.ts'
import { addSink, deliveries, happen, SINK_ENV } from '../support/sinks.ts'
import { until } from '../support/until.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'

const CANARY = 'canary4f1d'

test('F42 F45 a backup is told by every kind of sink, sinks that fail leave it SUCCESS, and no secret of them is found anywhere', async () => {
  await using web = await startHttpReceiver()
  await using broken = await startHttpReceiver()
  broken.answer = 500
  await using mail = await startMailReceiver(CANARY)
  const env = { ...SINK_ENV, COFFER_SMTP_URL: mail.url, COFFER_MAIL_FROM: 'coffer@example.com' }
  await using coffer = await startTestCoffer({ env })
  const { url } = await coffer.mediaRoot('media')
  await coffer.addService('STORAGE', url)
  await addSink(coffer, { url: `${web.url}/${CANARY}/hook`, signing_secret: `whsec_${CANARY}` })
  await addSink(coffer, { url: `${web.url}/${CANARY}/ping` }, { type: 'heartbeat' })
  await addSink(coffer, { to: ['ops@example.com'] }, { type: 'email', kinds: ['backup.success'] })
  const failing = await addSink(coffer, { url: `${broken.url}/${CANARY}`, signing_secret: `whsec_${CANARY}` })
  const dead = await addSink(coffer, { url: `http://127.0.0.1:1/${CANARY}` })
  const worker = await coffer.worker()
  const backup = await coffer.ended((await coffer.backup()).uuid)
  expect(backup.success).toBe('SUCCESS')
  await web.count(3)
  await mail.count(1)
  await broken.count(2)
  const paths = web.received.map(({ path }) => path.replace(CANARY, '…'))
  expect(paths.sort()).toEqual(['/…/hook', '/…/ping', '/…/ping/start'])
  expect(mail.mails[0]?.raw).toContain('Subject: [Coffer] shop/live: backup succeeded')
  await until(async () => (await deliveries(coffer, dead)).some(({ tries }) => tries > 0))
  expect((await deliveries(coffer, failing)).map(({ state }) => state)).toEqual(['QUEUED'])

  const keys = await coffer.redis.keys('*')
  const values = await Promise.all(keys.map((key) => coffer.redis.dumpBuffer(key)))
  const dumped = await dumpAsText(parsePostgresUrl(coffer.env['COFFER_DATABASE_URL'] ?? ''))
  expect(dumped).toContain('notification_sinks')
  expect(keys.some((key) => key.includes(':notify:'))).toBe(true)
  await worker.stop()
  expect(worker.output()).toContain('event delivered')
  expect(worker.output()).toContain('could not be delivered')
  for (const place of [worker.output(), dumped, ...keys, ...values.map((value) => value.toString('latin1'))])
    expect(place).not.toContain(CANARY)
})

test.each(['notify-sending', 'notify-sent'])(
  'a worker killed at %s: the event is told again, under the same id',
  async (killAt) => {
    await using web = await startHttpReceiver()
    await using coffer = await startTestCoffer({ env: SINK_ENV })
    const sink = await addSink(coffer, { url: web.url })
    const doomed = await coffer.worker({ killAt })
    const event = await happen(coffer)
    coffer.ringer.nudge()
    await doomed.ended
    expect(await deliveries(coffer, sink)).toMatchObject([{ state: 'QUEUED', tries: 0 }])
    // As if the half minute had passed in which the dead sender is waited for.
    await coffer.catalog.query(`UPDATE notification_sinks SET sender_expires_at = '-infinity'`)
    await coffer.worker()
    await until(async () => (await deliveries(coffer, sink))[0]?.state === 'DELIVERED')
    const ids = web.received.map(({ headers }) => headers['coffer-event-id'])
    expect(ids).toEqual(killAt === 'notify-sent' ? [event, event] : [event])
  },
)

test('F5 bells of sinks that Redis lost are rung again from the catalog', async () => {
  await using web = await startHttpReceiver()
  await using coffer = await startTestCoffer({ env: SINK_ENV })
  await addSink(coffer, { url: web.url })
  const event = await happen(coffer)
  await coffer.catalog.query('DELETE FROM outbox')
  await coffer.redis.flushdb()
  await coffer.worker()
  await web.count(1)
  expect(web.received[0]?.headers['coffer-event-id']).toBe(event)
})

test('F40 a database that an organisation registered is not connected to once it leads into a private network', async () => {
  await using listener = await startHttpReceiver()
  await using coffer = await startTestCoffer()
  const service = await coffer.addService('DATABASE', `postgres://u:p@localhost:${new URL(listener.url).port}/d`)
  await coffer.catalog.query(`UPDATE service_instances SET egress = 'organisation' WHERE id = $1`, [service])
  await coffer.worker()
  const { uuid, success } = await coffer.ended((await coffer.backup()).uuid)
  const [part] = await coffer.parts(uuid)
  expect([success, part?.attempt, part?.errors]).toMatchObject(['FAILURE', 1, [{ code: 'EGRESS_REFUSED' }]])
  expect(listener.connections).toBe(0)
})
