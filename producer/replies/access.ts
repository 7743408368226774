import { z } from 'zod'
import { ROLES } from '../../shared/catalog/tokens.ts'
import { facts, id, named, time } from './fields.ts'

export const Me = named('Me', {
  uuid: id,
  email: z.string(),
  first_name: z.string().describe('the name of the token'),
  last_name: z.string(),
  role: z.enum(ROLES),
  organisation: id.nullable().describe('null: the whole installation'),
})

const token = {
  uuid: id,
  name: z.string(),
  role: z.enum(ROLES),
  organisation: id.nullable(),
  created_at: time,
  created_by: id.nullable(),
  expires_at: time.nullable(),
  last_used_at: time.nullable(),
  revoked_at: time.nullable(),
}
export const Token = named('Token', token)
export const MadeToken = named('MadeToken', { ...token, token: z.string().describe('shown now, and never again') })

export const AuditLine = named('AuditLine', {
  id: z.number(),
  at: time,
  token: id.nullable(),
  token_name: z.string().nullable(),
  organisation: id.nullable(),
  address: z.string(),
  action: z.string(),
  targets: z.array(z.string()),
  status: z.number().nullable(),
  code: z.string().nullable(),
  changes: facts,
  request_id: z.string(),
})
