import type { SinkToSend } from '../catalog/notification-sinks.ts'
import type { Clock } from '../clock.ts'
import type { EgressPolicy } from '../egress/policy.ts'
import { CofferError } from '../errors.ts'
import type { Secrets } from '../secrets.ts'
import { sendMail, type MailServer } from './mail.ts'
import { mailOf, type ToldEvent } from './messages.ts'
import { decryptSink } from './sink-secret.ts'
import { sendPing, sendWebhook } from './webhook.ts'

/** What is needed to reach any sink. */
export interface Outlets {
  secrets: Secrets
  policy: EgressPolicy
  /** null: this installation sends no mail. */
  mail: MailServer | null
  clock: Clock
}

/** Tells a sink of an event, within ten seconds. @throws SINK_FAILED, EGRESS_REFUSED, HOST_UNKNOWN, KEY_WRONG */
export async function sendTo(outlets: Outlets, sink: SinkToSend, event: ToldEvent): Promise<void> {
  const secret = decryptSink(outlets.secrets, sink.id, sink.secret)
  if ('to' in secret) {
    if (!outlets.mail)
      throw new CofferError('SINK_FAILED', 'COFFER_SMTP_URL and COFFER_MAIL_FROM are not set', {
        details: { isAway: true },
      })
    return sendMail(outlets.mail, secret.to, { ...mailOf(event), id: `${event.uuid}.${sink.id}` })
  }
  const sending = { policy: outlets.policy, now: outlets.clock() }
  if (sink.type === 'heartbeat') return sendPing(secret.url, event, sending)
  const { url, signing_secret: signingSecret } = secret
  return sendWebhook({ url, format: sink.format ?? 'coffer', signingSecret }, event, sending)
}

/** Whether the sink as a whole can't be reached, so that nothing else is worth trying now. */
export const isAway = (error: CofferError): boolean => error.code !== 'SINK_FAILED' || error.details['isAway'] === true
