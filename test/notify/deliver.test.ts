import { expect, test } from 'vitest'
import { listOpenAlerts } from '../../shared/catalog/alerts.ts'
import { deliverDue, deliverTo } from '../../shared/notify/deliver.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { startHttpReceiver, type Received } from '../support/http-receiver.ts'
import { addSink, deliveries, happen, senderOf } from '../support/sinks.ts'
import { until } from '../support/until.ts'

const eventOf = ({ headers }: Received) => headers['coffer-event-id']
const kindOf = ({ body }: Received) => (JSON.parse(body) as { kind: string }).kind

test('F45 a receiver that was down gets each event once, in order per backup, when it is back', async () => {
  await using coffer = await startTestCoffer()
  const down = await startHttpReceiver()
  const port = Number(new URL(down.url).port)
  await down[Symbol.asyncDispose]()
  const sink = await addSink(coffer, { url: `${down.url}/hook`, signing_secret: 'whsec_x' })
  const sent: { backup: string; event: string }[] = []
  for (const kind of ['backup.failure', 'backup.success', 'backup.recovered'])
    for (const backup of ['a', 'b', 'c']) sent.push({ backup, event: await happen(coffer, { kind, subject: backup }) })
  const context = senderOf(coffer)
  expect(await deliverTo(context, sink)).toBe(0)
  expect((await deliveries(coffer, sink)).map(({ tries }) => tries)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0])

  await using back = await startHttpReceiver(port)
  // Two processes at once, as workers would.
  const other = senderOf(coffer)
  await until(async () => {
    await Promise.all([deliverDue(context, 0), deliverDue(other, 0)])
    return (await deliveries(coffer, sink)).every(({ state }) => state === 'DELIVERED')
  })
  expect(back.received.map(eventOf).sort()).toEqual(sent.map(({ event }) => event).sort())
  for (const backup of ['a', 'b', 'c']) {
    const wanted = sent.filter((one) => one.backup === backup).map(({ event }) => event)
    expect(back.received.map(eventOf).filter((id) => wanted.includes(id as string))).toEqual(wanted)
  }
})

test('an event that its receiver refuses holds back the later ones of its backup, and no other', async () => {
  await using coffer = await startTestCoffer()
  await using receiver = await startHttpReceiver()
  const sink = await addSink(coffer, { url: receiver.url })
  const refused = await happen(coffer, { subject: 'a' })
  const later = await happen(coffer, { subject: 'a', kind: 'backup.success' })
  const other = await happen(coffer, { subject: 'b' })
  receiver.answer = (request) => (eventOf(request) === refused ? 500 : 204)
  const context = { ...senderOf(coffer), retrySeconds: 3_600 }
  expect(await deliverTo(context, sink)).toBe(1)
  expect(receiver.received.map(eventOf)).toEqual([refused, other])
  expect(await deliveries(coffer, sink)).toMatchObject([
    { event: refused, state: 'QUEUED', tries: 1, error: 'the receiver answered 500' },
    { event: later, state: 'QUEUED', tries: 0 },
    { event: other, state: 'DELIVERED', tries: 1 },
  ])
  receiver.answer = 204
  await coffer.catalog.query('UPDATE notification_deliveries SET not_before = now()')
  expect(await deliverTo(context, sink)).toBe(2)
  expect(receiver.received.map(eventOf)).toEqual([refused, other, refused, later])
})

test('F45 a sink that hangs delays nobody else', async () => {
  await using coffer = await startTestCoffer()
  await using hanging = await startHttpReceiver()
  hanging.answer = 'hang'
  await using well = await startHttpReceiver()
  const hangs = await addSink(coffer, { url: hanging.url })
  await addSink(coffer, { url: well.url })
  for (const subject of ['a', 'b', 'c']) await happen(coffer, { subject })
  const delivering = deliverDue(senderOf(coffer), 0)
  await well.count(3)
  expect(hanging.received).toHaveLength(1)
  // It was given all it will be given, and is still not done with the first.
  expect(await deliveries(coffer, hangs)).toMatchObject([{ state: 'QUEUED', tries: 0 }, { tries: 0 }, { tries: 0 }])
  await hanging[Symbol.asyncDispose]()
  await delivering
  expect(await deliveries(coffer, hangs)).toMatchObject([{ state: 'QUEUED', tries: 1 }, { tries: 0 }, { tries: 0 }])
})

test('after three days an event is given up, with an alert that is told to others but not through the broken sink', async () => {
  await using coffer = await startTestCoffer()
  await using broken = await startHttpReceiver()
  broken.answer = 500
  await using well = await startHttpReceiver()
  const sink = await addSink(coffer, { url: broken.url })
  await addSink(coffer, { url: well.url }, { kinds: ['notify-failed.raised', 'notify-failed.resolved'] })
  const start = new Date('2026-05-01T12:00:00Z')
  await happen(coffer, { at: start })
  const atHours = (hours: number) => senderOf(coffer, () => new Date(start.getTime() + hours * 3_600_000))
  const trying = async (hours: number) => {
    await coffer.catalog.query('UPDATE notification_deliveries SET not_before = now()')
    await deliverDue(atHours(hours), 0)
  }
  await trying(71.9)
  expect(await deliveries(coffer, sink)).toMatchObject([{ state: 'QUEUED', tries: 1 }])
  await trying(72.1)
  expect(await deliveries(coffer, sink)).toMatchObject([
    { state: 'GAVE_UP', tries: 2, error: 'the receiver answered 500' },
  ])
  const { rows } = await listOpenAlerts(coffer.catalog, { organisationId: null }, 10)
  expect(rows).toMatchObject([{ kind: 'notify-failed', subject: sink }])
  await deliverDue(atHours(73), 0)
  expect(well.received.map(kindOf)).toEqual(['notify-failed.raised'])

  broken.answer = 204
  await happen(coffer, { at: start })
  await deliverDue(atHours(74), 0)
  expect(well.received.map(kindOf)).toEqual(['notify-failed.raised'])
  await deliverDue(atHours(74), 0)
  expect(well.received.map(kindOf)).toEqual(['notify-failed.raised', 'notify-failed.resolved'])
  expect(broken.received.map(kindOf)).toEqual(['backup.failure', 'backup.failure', 'backup.failure'])
})

test('a sink whose address is refused by the egress policy is paused, and nothing is connected to', async () => {
  await using coffer = await startTestCoffer()
  await using receiver = await startHttpReceiver()
  const sink = await addSink(coffer, { url: receiver.url })
  await happen(coffer)
  await happen(coffer)
  const context = senderOf(coffer)
  const { isNamed } = context.outlets.policy
  await deliverTo({ ...context, outlets: { ...context.outlets, policy: { isNamed, allows: () => false } } }, sink)
  expect(receiver.connections).toBe(0)
  expect(await deliveries(coffer, sink)).toMatchObject([
    { state: 'QUEUED', tries: 1 },
    { state: 'QUEUED', tries: 0 },
  ])
})
