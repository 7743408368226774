import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'
import { until } from './until.ts'

export interface ReceivedMail {
  from: string
  to: string[]
  /** Headers and body as they came over the wire. */
  raw: string
}

/** A real SMTP server on loopback that wants a login. */
export interface MailReceiver extends AsyncDisposable {
  /** With user and password. */
  url: string
  readonly mails: ReceivedMail[]
  count(wanted: number): Promise<ReceivedMail[]>
}

export async function startMailReceiver(password: string): Promise<MailReceiver> {
  const mails: ReceivedMail[] = []
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    onAuth: (auth, _session, done) => {
      if (auth.password === password) done(null, { user: 'coffer' })
      else done(new Error('wrong password'))
    },
    onRcptTo: ({ address }, _session, done) =>
      done(address.startsWith('nobody@') ? Object.assign(new Error('no such user'), { responseCode: 550 }) : null),
    onData: (stream, { envelope }, done) =>
      void text(stream).then((raw) => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), raw })
        done()
      }),
  })
  server.on('error', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  const { port } = server.server.address() as AddressInfo
  return {
    url: `smtp://coffer:${encodeURIComponent(password)}@127.0.0.1:${port}`,
    mails,
    count: (wanted) => until(() => Promise.resolve(mails.length >= wanted && mails)),
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
