import { z } from 'zod'
import { FAILURES, type FailureCode } from '../shared/errors.ts'
import { EXAMPLES } from './examples.ts'
import { OUTSIDE_PATHS, type Operation } from './openapi-outside.ts'
import { codesOf } from './route-codes.ts'
import { REPLIES } from './replies/fields.ts'
import { keepsAnswer, type Route } from './routes.ts'

export type JsonSchema = Record<string, unknown>

/** What the document holds of OpenAPI 3.1; whoever reads it back needs no more. */
export interface OpenApi {
  openapi: string
  info: { title: string; version: string; description: string }
  servers: { url: string }[]
  security: Record<string, string[]>[]
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, JsonSchema>
    parameters: Record<string, JsonSchema>
    securitySchemes: Record<string, JsonSchema>
  }
}

const VERSION = '3'
const SCHEMAS = '#/components/schemas/'
const ref = (name: string): JsonSchema => ({ $ref: SCHEMAS + name })

/** The API as OpenAPI 3.1 has it, made from the very schemas that validate. */
export function openApi(routes: readonly Route[]): OpenApi {
  const paths: OpenApi['paths'] = {}
  for (const route of routes) (paths[templateOf(route.path)] ??= {})[route.method.toLowerCase()] = operationOf(route)
  return {
    openapi: '3.1.1',
    info: {
      title: 'Coffer',
      version: VERSION,
      description: 'Takes, keeps, proves and gives back backups. A trailing slash is optional.',
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    tags: [...new Set([...routes.map(({ path }) => resourceOf(path)), 'service'])].map((name) => ({ name })),
    paths: { ...paths, ...OUTSIDE_PATHS },
    components: {
      schemas: { ...replySchemas(), Problem: PROBLEM },
      parameters: { IdempotencyKey: IDEMPOTENCY_KEY },
      securitySchemes: {
        token: { type: 'apiKey', in: 'header', name: 'Authorization', description: '`Token <token>`' },
      },
    },
  }
}

/** `/apps/v3/backups/:uuid/` as OpenAPI writes it. */
export const templateOf = (path: string): string => path.replace(/:(\w+)/g, '{$1}')

export const resourceOf = (path: string): string => path.split('/')[3] ?? ''

function operationOf(route: Route): Operation {
  const { method, path, role, summary } = route
  return {
    operationId: [method.toLowerCase(), ...path.replace(/:/g, '').split('/').slice(3)].filter(Boolean).join('-'),
    tags: [resourceOf(path)],
    summary,
    description: `Needs the role ${role}.`,
    'x-role': role,
    parameters: parametersOf(route),
    ...(route.body && { requestBody: requestBodyOf(route, route.body(new Date(0))) }),
    responses: { [String(route.status)]: answerOf(route), ...refusals(codesOf(route)) },
  }
}

function parametersOf(route: Route): JsonSchema[] {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: name === 'uuid' ? { type: 'string', format: 'uuid' } : { type: 'string' },
  }))
  const inQuery = Object.entries(route.query ?? {}).map(([name, field]) => {
    const schema = toJson(field as z.ZodType)
    const isRequired = !(field as z.ZodType).safeParse(undefined).success
    return { name, in: 'query', ...(isRequired && { required: true }), schema }
  })
  return [...inPath, ...inQuery, ...(keepsAnswer(route) ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : [])]
}

function requestBodyOf({ method, path }: Route, body: z.ZodType): JsonSchema {
  const example = EXAMPLES[`${method} ${path}`]
  const schema = toJson(body)
  const media = { schema, ...(example && { example: example }) }
  return { required: Array.isArray(schema['required']), content: { 'application/json': media } }
}

function answerOf(route: Route): JsonSchema {
  const { reply, answers } = route
  if (reply === null) return { description: 'It is done.' }
  const schema = ref(nameOf(route, reply))
  if (answers === 'events')
    return {
      description: 'Server-sent events `progress` and, last, `end`; the data of each is JSON like this.',
      content: { 'text/event-stream': { schema: { type: 'string' }, 'x-data': schema } },
    }
  return {
    description: answers === 'list' ? 'A page of the list.' : route.status === 201 ? 'It is made.' : 'As asked.',
    ...(keepsAnswer(route) && { headers: { 'Idempotency-Replayed': REPLAYED } }),
    content: { 'application/json': { schema: answers === 'list' ? listOf(schema, route.more ?? {}) : schema } },
  }
}

function nameOf({ method, path }: Route, reply: z.ZodType): string {
  const name = REPLIES.get(reply)?.id
  if (name === undefined) throw new Error(`the reply of ${method} ${path} has no name`)
  return name
}

function listOf(row: JsonSchema, more: z.ZodRawShape): JsonSchema {
  const address = { type: ['string', 'null'], description: 'the address of that page' }
  const own = Object.entries(more).map(([name, field]) => [name, toJson(field as z.ZodType)] as const)
  const properties = {
    count: { type: 'integer' },
    next: address,
    previous: address,
    results: { type: 'array', items: row },
    ...Object.fromEntries(own),
  }
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false }
}

/** By status: which codes it may have. */
function refusals(codes: readonly FailureCode[]): Record<string, JsonSchema> {
  const byStatus = Map.groupBy(codes, (code) => FAILURES[code].status)
  const answers = [...byStatus].map(([status, own]): [string, JsonSchema] => [
    String(status),
    { description: own.join(', '), content: { 'application/problem+json': { schema: ref('Problem') } } },
  ])
  return Object.fromEntries(answers.sort(([a], [b]) => Number(a) - Number(b)))
}

/** What may be sent, as JSON Schema. */
const toJson = (schema: z.ZodType): JsonSchema => {
  return bare(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', override: simplify }))
}

/** Without what a document of its own would say of itself. */
const bare = (schema: JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(schema).filter(([key]) => key !== '$schema' && key !== '$id'))

function replySchemas(): Record<string, JsonSchema> {
  const { schemas } = z.toJSONSchema(REPLIES, {
    io: 'output',
    unrepresentable: 'any',
    uri: (id) => SCHEMAS + id,
    override: simplify,
  })
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema as JsonSchema)]))
}

/** JSON has no dates; and what a format says, or a whole number of a query, needs no pattern beside it. */
function simplify({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: JsonSchema }): void {
  if (zodSchema._zod.def.type === 'date') Object.assign(jsonSchema, { type: 'string', format: 'date-time' })
  if (jsonSchema['format'] !== undefined || jsonSchema['type'] === 'integer') delete jsonSchema['pattern']
}

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'Made up by the client: sent again within 24 hours it makes nothing new, and gets the first answer.',
  schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' },
}

const REPLAYED = {
  description: '`true`: this is the answer to an earlier request with the same Idempotency-Key',
  schema: { type: 'string', const: 'true' },
}

const text = { type: 'string' }
const PROBLEM: JsonSchema = {
  type: 'object',
  description: 'RFC 9457; `code` is stable.',
  properties: {
    type: text,
    title: text,
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(FAILURES) },
    detail: text,
    remedy: text,
    errors: {
      type: 'array',
      items: {
        type: 'object',
        properties: { field: text, message: text },
        required: ['field', 'message'],
        additionalProperties: false,
      },
    },
    digest: { type: 'string', description: 'of CONFIRMATION_REQUIRED: what to send back as `confirm`' },
    would_delete: { type: 'array', items: { type: 'object' } },
    request_id: text,
  },
  required: ['type', 'title', 'status', 'code', 'detail', 'remedy', 'request_id'],
  additionalProperties: false,
}
