import type { RequestHandler } from 'express'
import { writeAudit, type AuditEntry } from '../shared/catalog/audit.ts'
import { isUuid } from '../shared/catalog/scope.ts'
import { FAILURES, type FailureCode } from '../shared/errors.ts'
import { scrubDeep } from '../shared/scrub.ts'
import { actorOf, originOfRequest, type Actor } from './auth.ts'
import { translate } from './error-handler.ts'
import type { Producer } from './producer.ts'
import type { Call, Reply, Route } from './routes.ts'

/**
 * Fields whose values the audit log shows. Of all others it shows that they were there: a field that nobody has thought of may be a secret.
 */
const SHOWN = new Set([
  ...['application', 'backup', 'environment', 'organisation', 'plan', 'service', 'services', 'store'],
  ...[
    'service_instance_backup',
    'service_instance_backups',
    'service_instance_restores',
    'safety_backup',
    'level',
    'verification',
  ],
  ...['recipient', 'accept_unreadable', 'environments', 'kinds', 'format'],
  ...['confirm', 'expected_within_hours', 'expires_at', 'force', 'media_roots', 'name', 'notes', 'prefix', 'reason'],
  ...['retention', 'role', 'schedules', 'scheduled_for_deletion_at', 'slug', 'timezone', 'trigger', 'type'],
])
const TOO_LONG = '[too long]'
const LONGEST_VALUE = 2_000
const MOST_FIELDS = 50
/** Of all fields of a line together, as JSON. */
const MOST_BYTES = 4_096
const MOST_TARGETS = 100

const actorEntry = ({ tokenId, name, scope }: Actor) => ({ tokenId, name, organisationId: scope.organisationId })

/** How a request went, or that it begins. */
type Result = { reply: Reply } | { error: unknown } | 'begins'

export function entryOf({ method, path }: Route, call: Call, at: Date, result: Result): AuditEntry {
  return {
    at,
    actor: actorEntry(call.actor),
    address: call.address,
    requestId: call.requestId,
    action: `${method} ${path}`,
    targets: targetsOf(call, result),
    // What is refused may be anything, from anybody, and the log can't be made smaller.
    changes: typeof result === 'object' && 'error' in result ? {} : shownFields(call.body),
    ...outcomeOf(result),
  }
}

function outcomeOf(result: Result): { status: number | null; code: FailureCode | null } {
  if (result === 'begins') return { status: null, code: null }
  if ('reply' in result) return { status: result.reply.status, code: null }
  const { code } = translate(result.error)
  return { status: FAILURES[code].status, code }
}

/** Every id that the path, the fields of the body, or the answer name. */
function targetsOf({ params, body }: Call, result: Result): string[] {
  const made = typeof result === 'object' && 'reply' in result ? result.reply.body : null
  const uuid = isRecord(made) ? made['uuid'] : null
  const named = isRecord(body) ? Object.values(body).flat() : []
  return [...Object.values(params), uuid, ...named]
    .filter((value): value is string => typeof value === 'string' && isUuid(value))
    .slice(0, MOST_TARGETS)
}

function shownFields(body: unknown): Record<string, unknown> {
  if (!isRecord(body)) return {}
  const fields: Record<string, unknown> = {}
  let left = MOST_BYTES - 2
  for (const [name, value] of Object.entries(body).slice(0, MOST_FIELDS)) {
    const key = name.slice(0, 100).replaceAll('\0', '')
    const fitting = [shown(name, value), TOO_LONG].find((candidate) => sizeOf(key, candidate) <= left)
    if (fitting === undefined) break
    left -= sizeOf(key, fitting)
    fields[key] = fitting
  }
  return fields
}

/** With its quotes, colon and comma. */
const sizeOf = (key: string, value: unknown) => Buffer.byteLength(JSON.stringify({ [key]: value })) - 1

function shown(name: string, value: unknown): unknown {
  if (!SHOWN.has(name)) return '[not shown]'
  const scrubbed = withoutNul(scrubDeep(value))
  return JSON.stringify(scrubbed).length > LONGEST_VALUE ? TOO_LONG : scrubbed
}

/** What is refused may be anything, also what the database can't keep. */
function withoutNul(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\0', '')
  if (Array.isArray(value)) return value.map(withoutNul)
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.replaceAll('\0', ''), withoutNul(item)]))
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Adds a line about what is over and can't be undone or refused any more: where the catalog is away, the log of the process has it. */
export async function noteAudit({ catalog, log }: Pick<Producer, 'catalog' | 'log'>, entry: AuditEntry): Promise<void> {
  await writeAudit(catalog, entry).catch((error: unknown) =>
    log.error({ err: error, audit: entry }, 'a line of the audit log could not be written'),
  )
}

/** Records what is done in Bull Board: before, so that nothing is done unrecorded, and how it ended. */
export function auditBoard(producer: Producer): RequestHandler {
  const { catalog, clock } = producer
  return async (request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD') {
      next()
      return
    }
    const entry: AuditEntry = {
      at: clock(),
      actor: actorEntry(actorOf(request)),
      ...originOfRequest(request, response),
      action: `${request.method} ${request.baseUrl}${request.path}`.slice(0, 500),
      targets: [],
      status: null,
      code: null,
      changes: {},
    }
    await writeAudit(catalog, entry)
    response.once('close', () => {
      void noteAudit(producer, { ...entry, at: clock(), status: response.statusCode })
    })
    next()
  }
}
