import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { ALERT_KINDS, EVENT_KINDS, titleOf } from '../../shared/domain/notification.ts'
import { egressPolicy } from '../../shared/egress/policy.ts'
import { sendMail } from '../../shared/notify/mail.ts'
import { cofferBody, mailOf, oneLine, slackBody, type ToldEvent } from '../../shared/notify/messages.ts'
import { sendPing, sendWebhook } from '../../shared/notify/webhook.ts'
import { startHttpReceiver } from '../support/http-receiver.ts'
import { startMailReceiver } from '../support/mail-receiver.ts'

const now = new Date('2026-05-02T12:00:00Z')
const CRLF = '\r\nBcc: victim@example.com\r\n\r\n<!channel> & more'
const EVENT: ToldEvent = {
  uuid: '6f1c1a0e-5d0a-4b43-9a37-0f6a5e0d3b11',
  kind: 'backup.failure',
  at: now,
  message: `shop/live: the backup failed${CRLF}`,
  organisation: 'default',
  application: `shop${CRLF}`,
  environment_slug: 'live',
  environment: '0d3f8a52-7a53-4d37-8f0e-6f3c0b3a9d55',
  backup: '6f1c1a0e-5d0a-4b43-9a37-0f6a5e0d3b12',
  facts: { notes: `before${CRLF}` },
}
const sending = { policy: egressPolicy(['127.0.0.1/32']), now }

test('F41 line breaks in names, messages and notes begin no header and no recipient of a mail', async () => {
  await using server = await startMailReceiver('canary')
  const mail = { url: server.url, from: 'coffer@example.com' }
  await sendMail(mail, ['ops@example.com'], { ...mailOf(EVENT), id: `${EVENT.uuid}.sink` })
  const [received] = server.mails
  expect(received).toMatchObject({ from: 'coffer@example.com', to: ['ops@example.com'] })
  const [head = ''] = received?.raw.split('\r\n\r\n') ?? []
  const names = head.split(/\r\n(?![ \t])/).map((line) => line.split(':')[0]?.toLowerCase())
  expect(names).not.toContain('bcc')
  expect(names.filter((name) => name === 'subject')).toHaveLength(1)
  expect(head).toContain(`Message-ID: <${EVENT.uuid}.sink@coffer>`)
})

test('F41 a mail whose subject itself has line breaks keeps to one header', () => {
  const { subject } = mailOf(EVENT)
  expect(subject).toMatch(/^\[Coffer\] shop Bcc: .*: backup FAILED$/)
  expect(oneLine('a\r\nb\u2028c\u0085d')).toBe('a b c d')
})

test('F41 a Slack message holds no link and calls no channel that an event brought with it', () => {
  const { text } = JSON.parse(slackBody(EVENT)) as { text: string }
  expect(text).toContain('&lt;!channel&gt; &amp; more')
  expect(text).not.toMatch(/[<>]/)
})

test('a webhook is signed over its timestamp and its body, and names its event', async () => {
  await using receiver = await startHttpReceiver()
  await sendWebhook({ url: `${receiver.url}/hook`, format: 'coffer', signingSecret: 'whsec_x' }, EVENT, sending)
  const [received] = receiver.received
  const { headers = {}, body = '' } = received ?? {}
  expect(headers).toMatchObject({ 'coffer-event-id': EVENT.uuid, 'coffer-timestamp': '1777723200' })
  expect(received?.headers['coffer-signature']).toBe(
    createHmac('sha256', 'whsec_x').update(`1777723200.${body}`).digest('hex'),
  )
  expect(JSON.parse(body)).toEqual(JSON.parse(cofferBody(EVENT)))
})

test('a heartbeat is pinged as healthchecks.io has it, with a query kept', async () => {
  await using receiver = await startHttpReceiver()
  for (const kind of ['backup.started', 'backup.success', 'backup.partial', 'backup.failure'])
    await sendPing(`${receiver.url}/ping/abc?create=1`, { kind, message: 'm' }, sending)
  expect(receiver.received.map(({ path }) => path)).toEqual([
    '/ping/abc/start?create=1',
    '/ping/abc?create=1',
    '/ping/abc/fail?create=1',
    '/ping/abc/fail?create=1',
  ])
})

test.each([301, 400, 500])(
  'a receiver that answers %i has not taken the event, and the address is not repeated',
  async (status) => {
    await using receiver = await startHttpReceiver()
    receiver.answer = status
    const sent = sendWebhook(
      { url: `${receiver.url}/canary`, format: 'slack', signingSecret: undefined },
      EVENT,
      sending,
    )
    const failure: unknown = await sent.catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'SINK_FAILED', details: { isAway: false } })
    expect(String(failure)).toContain(String(status))
    expect(String(failure)).not.toContain('canary')
  },
)

test('a mail server that is away, refuses the login or a recipient is told apart, without its password', async () => {
  await using server = await startMailReceiver('canary')
  const mail = { ...mailOf(EVENT), id: 'x' }
  const from = 'coffer@example.com'
  const failureOf = (url: string, to: string) =>
    sendMail({ url, from }, [to], mail).then(
      () => null,
      (error: unknown) => error,
    )
  const refused = await failureOf(server.url, 'nobody@example.com')
  expect(refused).toMatchObject({ code: 'SINK_FAILED', details: { isAway: false } })
  const login = await failureOf(server.url.replace('canary', 'wrong-canary'), 'ops@example.com')
  expect(login).toMatchObject({ code: 'SINK_FAILED', details: { isAway: true } })
  const away = await failureOf('smtp://u:canary@127.0.0.1:1', 'ops@example.com')
  expect(away).toMatchObject({ code: 'SINK_FAILED', details: { isAway: true } })
  for (const failure of [refused, login, away]) expect(String(failure)).not.toContain('canary')
})

test('every kind of event has a title, and every kind of alert makes two of them', () => {
  expect(EVENT_KINDS.filter((kind) => titleOf(kind) === kind)).toEqual([])
  for (const kind of Object.keys(ALERT_KINDS))
    expect(EVENT_KINDS).toEqual(expect.arrayContaining([`${kind}.raised`, `${kind}.resolved`]))
})
