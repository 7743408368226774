import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

export const Organisation = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  name: z.string(),
  media_roots: z.array(z.string()).nullable(),
})
export type Organisation = z.infer<typeof Organisation>

export const Token = z.looseObject({
  uuid: z.string(),
  name: z.string(),
  role: z.string(),
  organisation: z.string().nullable(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
})
export type Token = z.infer<typeof Token>

/** `token` is its text: nobody can read it again. */
export const NewToken = Token.extend({ token: z.string() })

/** `status`: null when it began, and another line of the same request says how it ended. */
export const AuditLine = z.looseObject({
  at: z.string(),
  token_name: z.string().nullable(),
  address: z.string(),
  action: z.string(),
  targets: z.array(z.string()),
  status: z.number().nullable(),
  code: z.string().nullable(),
})
export type AuditLine = z.infer<typeof AuditLine>
