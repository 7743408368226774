import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Secrets } from '../secrets.ts'

/** What of a sink is stored encrypted: where it is, and what its messages are signed with. */
export const SinkSecret = z.union([
  z.strictObject({ url: z.string(), signing_secret: z.string().optional() }),
  z.strictObject({ to: z.array(z.string()) }),
])
export type SinkSecret = z.infer<typeof SinkSecret>

/** 256 random bits, in letters that need no quoting. */
export const newSigningSecret = (): string => `whsec_${randomBytes(32).toString('base64url')}`

const context = (sinkId: string) => `notification sink ${sinkId}`

export const encryptSink = (secrets: Secrets, sinkId: string, secret: SinkSecret): Buffer =>
  secrets.encrypt(JSON.stringify(secret), context(sinkId))

/** @throws KEY_WRONG */
export const decryptSink = (secrets: Secrets, sinkId: string, box: Buffer): SinkSecret =>
  SinkSecret.parse(JSON.parse(secrets.decrypt(box, context(sinkId))))

/** What may be shown of it: the recipients, or of an address no more than the host, since its path is often the secret. */
export function shownTarget(secret: SinkSecret): string {
  return 'to' in secret ? secret.to.join(', ') : `${new URL(secret.url).origin}/…`
}
