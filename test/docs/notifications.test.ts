import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { EVENT_KINDS, titleOf } from '../../shared/domain/notification.ts'
import { egressPolicy } from '../../shared/egress/policy.ts'
import { cofferBody } from '../../shared/notify/messages.ts'
import { sendWebhook } from '../../shared/notify/webhook.ts'
import { temporaryFolder } from '../cli/support.ts'
import { startHttpReceiver } from '../support/http-receiver.ts'

const PAGE = await readFile('docs/notifications.md', 'utf8')
const block = (language: string) => new RegExp('```' + language + '\\n(.*?)```', 's').exec(PAGE)?.[1] ?? ''
const run = promisify(execFile)

const EVENT = {
  uuid: '6f1c1a0e-5d0a-4b43-9a37-0f6a5e0d3b11',
  kind: 'backup.failure',
  at: new Date('2026-05-02T01:13:00Z'),
  message: 'shop/live: “failed”\n',
  organisation: 'default',
  application: 'shop',
  environment_slug: 'live',
  environment: '0d3f8a52-7a53-4d37-8f0e-6f3c0b3a9d55',
  backup: '7e0d2b1f-6e1b-4c54-8b48-1a7b6f1e4c22',
  facts: {},
}

/** What a receiver got, in the words of the page. */
async function receive() {
  await using receiver = await startHttpReceiver()
  const sending = { policy: egressPolicy(['127.0.0.1/32']), now: EVENT.at }
  await sendWebhook({ url: receiver.url, format: 'coffer', signingSecret: "whsec_-_'x" }, EVENT, sending)
  const [received] = receiver.received
  const header = (name: string) => String(received?.headers[name])
  return {
    secret: "whsec_-_'x",
    timestamp: header('coffer-timestamp'),
    signature: header('coffer-signature'),
    body: received?.body ?? '',
  }
}

test('the signature check of docs/notifications.md in Python takes what is genuine, and nothing else', async () => {
  const { secret, timestamp, signature, body } = await receive()
  const judge = async (...given: [string, string, string, string, number]) => {
    const call = 'a = json.load(sys.stdin); print(is_genuine(a[0], a[1], a[2], a[3].encode(), a[4]))'
    const child = run('python3', ['-c', `import json, sys\n${block('python')}\n${call}`])
    child.child.stdin?.end(JSON.stringify(given))
    return (await child).stdout.trim()
  }
  const now = Number(timestamp)
  expect(await judge(secret, timestamp, signature, body, now + 10)).toBe('True')
  expect(await judge(secret, timestamp, signature, `${body} `, now + 10)).toBe('False')
  expect(await judge('other', timestamp, signature, body, now + 10)).toBe('False')
  expect(await judge(secret, String(now + 1), signature, body, now + 10)).toBe('False')
  expect(await judge(secret, timestamp, signature, body, now + 301)).toBe('False')
})

test('the signature check of docs/notifications.md in a shell takes what is genuine, and nothing else', async () => {
  const { body, ...variables } = await receive()
  const cwd = await temporaryFolder()
  const judge = (text: string) =>
    writeFile(join(cwd, 'body'), text)
      .then(() =>
        run('bash', ['-euo', 'pipefail', '-c', block('bash')], { cwd, env: { PATH: process.env.PATH, ...variables } }),
      )
      .then(
        () => true,
        () => false,
      )
  expect([await judge(body), await judge(`${body} `)]).toEqual([true, false])
})

test('the body that docs/notifications.md shows has the fields of one that is sent', () => {
  expect(Object.keys(JSON.parse(block('json')) as object)).toEqual(Object.keys(JSON.parse(cofferBody(EVENT)) as object))
})

test('docs/notifications.md lists every kind of event with its title, and no other', () => {
  const rows = [...PAGE.matchAll(/^\| `([\w.-]+\.[\w.-]+)` \| (.*) \|$/gm)].map(([, kind, title]) => [kind, title])
  expect(rows).toEqual(EVENT_KINDS.map((kind) => [kind, titleOf(kind)]))
})
