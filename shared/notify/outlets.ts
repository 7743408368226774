import type { Clock } from '../clock.ts'
import type { CommonConfig } from '../config.ts'
import { egressPolicy } from '../egress/policy.ts'
import type { Secrets } from '../secrets.ts'
import type { Outlets } from './send.ts'

/** What the configuration says about reaching sinks. */
export function outletsOf(
  config: Pick<CommonConfig, 'COFFER_SMTP_URL' | 'COFFER_MAIL_FROM' | 'COFFER_EGRESS_ALLOW'>,
  secrets: Secrets,
  clock: Clock,
): Outlets {
  const { COFFER_SMTP_URL: url, COFFER_MAIL_FROM: from } = config
  return {
    secrets,
    clock,
    policy: egressPolicy(config.COFFER_EGRESS_ALLOW),
    mail: url === undefined || from === undefined ? null : { url, from },
  }
}
