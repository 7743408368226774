import { createTransport } from 'nodemailer'
import { REQUEST_TIMEOUT_MS } from '../egress/request.ts'
import { CofferError } from '../errors.ts'
import type { Mail } from './messages.ts'

export interface MailServer {
  /** smtp:// or smtps://, with user and password. The operator's own, so it may be anywhere. */
  url: string
  from: string
}

/** @throws SINK_FAILED; `details.isAway`: the server did not answer, whatever the mail was */
export async function sendMail(server: MailServer, to: readonly string[], mail: Mail & { id: string }): Promise<void> {
  const transport = createTransport({
    url: server.url,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    greetingTimeout: REQUEST_TIMEOUT_MS,
    socketTimeout: REQUEST_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), REQUEST_TIMEOUT_MS)
  })
  const sent = transport.sendMail({
    from: server.from,
    to: [...to],
    subject: mail.subject,
    text: mail.text,
    // The same for every try, so that a mail that was taken twice is shown once.
    messageId: `<${mail.id}@coffer>`,
    headers: { 'Auto-Submitted': 'auto-generated' },
  })
  try {
    await Promise.race([sent, late])
  } catch (cause) {
    throw mailFailure(cause)
  } finally {
    clearTimeout(timer)
    transport.close()
    sent.catch(() => undefined)
  }
}

/** An answer of the server in its protocol concerns this mail; everything else concerns the server. The text of answers is not passed on. */
function mailFailure(cause: unknown): CofferError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'no answer in time'
  const status = cause instanceof Error && 'responseCode' in cause ? Number(cause.responseCode) : null
  const isAway = status === null || code === 'EAUTH'
  const message =
    status === null ? `the mail server does not answer (${code})` : `the mail server answered ${status} (${code})`
  return new CofferError('SINK_FAILED', message, { cause, details: { isAway } })
}
