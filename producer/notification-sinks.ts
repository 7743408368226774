import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { getEnvironment } from '../shared/catalog/environments.ts'
import { createSink, getSink, updateSink, type SinkView } from '../shared/catalog/notification-sinks.ts'
import { getOrganisation } from '../shared/catalog/organisations.ts'
import type { Scope } from '../shared/catalog/scope.ts'
import {
  EVENT_KINDS,
  exceptKinds,
  HEARTBEAT_KINDS,
  SINK_TYPES,
  WEBHOOK_FORMATS,
  type SinkType,
  type WebhookFormat,
} from '../shared/domain/notification.ts'
import { vetUrl } from '../shared/egress/vet-url.ts'
import { CofferError } from '../shared/errors.ts'
import { encryptSink, newSigningSecret, shownTarget, type SinkSecret } from '../shared/notify/sink-secret.ts'
import { name, uuid } from './fields.ts'
import type { Producer } from './producer.ts'

const url = z.string('must be an address').min(1, 'must not be empty').max(4096, 'must be at most 4096 characters')
const to = z.array(z.email('must be a mail address').max(254)).min(1, 'must not be empty').max(20, 'must be at most 20')
const environments = z.array(uuid).min(1, 'must not be empty; null: all').max(1000, 'must be at most 1000')
const kinds = z
  .array(z.enum(EVENT_KINDS, 'must be a kind of event; docs/notifications.md lists them'))
  .min(1, 'must not be empty; null: all')

export const NewSink = z.strictObject({
  name,
  type: z.enum(SINK_TYPES, `must be one of ${SINK_TYPES.join(', ')}`),
  organisation: uuid.nullable().optional(),
  format: z.enum(WEBHOOK_FORMATS, `must be one of ${WEBHOOK_FORMATS.join(', ')}`).optional(),
  url: url.optional(),
  to: to.optional(),
  environments: environments.nullable().default(null),
  kinds: kinds.nullable().default(null),
})
export const SinkChanges = z.strictObject({
  name: name.optional(),
  url: url.optional(),
  to: to.optional(),
  environments: environments.nullable().optional(),
  kinds: kinds.nullable().optional(),
})

type Given = Pick<z.infer<typeof SinkChanges>, 'url' | 'to' | 'environments' | 'kinds'>

/** The sink, and the secret that its messages are signed with: shown now, and never again. */
export type MadeSink = SinkView & { signing_secret?: string }

type New = z.infer<typeof NewSink>
type Changes = z.infer<typeof SinkChanges>

/** @throws REQUEST_INVALID, NOT_FOUND, EGRESS_REFUSED, HOST_UNKNOWN */
export async function vetNewSink(producer: Producer, input: New, scope: Scope): Promise<void> {
  const organisationId = scope.organisationId ?? input.organisation ?? null
  if (input.organisation) await getOrganisation(producer.catalog, input.organisation, scope)
  if (input.format !== undefined && input.type !== 'webhook')
    throw invalid('format', `a sink of type ${input.type} has none`)
  if (input.type === 'heartbeat' && input.environments?.length !== 1)
    throw invalid('environments', 'must be the one environment whose backups it is told of')
  await checkFilters(producer, input.type, input, { organisationId })
  await vetAddress(producer, input.type, input)
}

/** Of what `vetNewSink` let pass. @throws NOT_FOUND, CONFLICT */
export async function makeSink(producer: Producer, input: New, scope: Scope): Promise<MadeSink> {
  const { catalog, secrets, clock } = producer
  const organisationId = scope.organisationId ?? input.organisation ?? null
  const format = input.type === 'webhook' ? (input.format ?? 'coffer') : null
  await checkFilters(producer, input.type, input, { organisationId })
  const id = randomUUID()
  const signingSecret = format === 'coffer' ? newSigningSecret() : undefined
  const secret = secretOf(input.type, input, signingSecret)
  await createSink(catalog, {
    id,
    organisationId,
    name: input.name,
    type: input.type,
    format,
    target: shownTarget(secret),
    secret: encryptSink(secrets, id, secret),
    environmentIds: input.environments,
    ...kindsOf(input.type, format, input.kinds),
    now: clock(),
  })
  const sink = await getSink(catalog, id, scope)
  return signingSecret === undefined ? sink : { ...sink, signing_secret: signingSecret }
}

/** @throws as vetNewSink */
export async function vetSinkChanges(producer: Producer, id: string, input: Changes, scope: Scope): Promise<void> {
  const { type, organisation: organisationId } = await getSink(producer.catalog, id, scope)
  if (type === 'heartbeat' && input.environments !== undefined && input.environments?.length !== 1)
    throw invalid('environments', 'must be the one environment whose backups it is told of')
  await checkFilters(producer, type, input, { organisationId })
  if (isMove(input)) await vetAddress(producer, type, input)
}

/** Of what `vetSinkChanges` let pass. A new address of a signed webhook gets a new signing secret. @throws NOT_FOUND, CONFLICT */
export async function changeSink(producer: Producer, id: string, input: Changes, scope: Scope): Promise<MadeSink> {
  const { catalog, secrets } = producer
  const { type, format, organisation: organisationId } = await getSink(catalog, id, scope)
  await checkFilters(producer, type, input, { organisationId })
  const isMoved = isMove(input)
  const signingSecret = isMoved && format === 'coffer' ? newSigningSecret() : undefined
  const secret = isMoved ? secretOf(type, input, signingSecret) : null
  const changed = await updateSink(catalog, id, scope, {
    name: input.name,
    environmentIds: input.environments,
    address: secret ? { target: shownTarget(secret), secret: encryptSink(secrets, id, secret) } : undefined,
    kinds: input.kinds === undefined ? undefined : kindsOf(type, format, input.kinds),
  })
  return signingSecret === undefined ? changed : { ...changed, signing_secret: signingSecret }
}

const isMove = ({ url: address, to: recipients }: Changes) => address !== undefined || recipients !== undefined

async function checkFilters({ catalog }: Producer, type: SinkType, given: Given, scope: Scope): Promise<void> {
  if (type === 'heartbeat' && given.kinds) throw invalid('kinds', 'a heartbeat is told of backups only, and of all')
  for (const id of given.environments ?? []) await getEnvironment(catalog, id, scope)
}

async function vetAddress({ outlets }: Producer, type: SinkType, given: Given): Promise<void> {
  const [field, other] = type === 'email' ? (['to', 'url'] as const) : (['url', 'to'] as const)
  if (given[field] === undefined) throw invalid(field, `a sink of type ${type} needs it`)
  if (given[other] !== undefined) throw invalid(other, `a sink of type ${type} has none`)
  if (type === 'email' && !outlets.mail)
    throw invalid('type', 'this installation sends no mail: COFFER_SMTP_URL and COFFER_MAIL_FROM are not set')
  if (given.url === undefined) return
  try {
    await vetUrl(given.url, outlets.policy)
  } catch (error) {
    if (!(error instanceof CofferError)) throw error
    throw new CofferError(error.code, error.message, { cause: error, details: { field: 'url' } })
  }
}

const secretOf = (
  type: SinkType,
  { url: address = '', to: recipients = [] }: Given,
  signingSecret?: string,
): SinkSecret => {
  if (type === 'email') return { to: recipients }
  return signingSecret === undefined ? { url: address } : { url: address, signing_secret: signingSecret }
}

function kindsOf(type: SinkType, format: WebhookFormat | null, given: readonly string[] | null) {
  if (type === 'heartbeat') return { kinds: HEARTBEAT_KINDS, exceptKinds: [] }
  return { kinds: given, exceptKinds: given === null ? exceptKinds(type, format) : [] }
}

const invalid = (field: string, message: string) =>
  new CofferError('REQUEST_INVALID', `the request is not valid: ${field}: ${message}`, {
    details: { errors: [{ field, message }] },
  })
