/** An operation as far as the document and those who read it need it. */
export interface Operation {
  operationId: string
  tags: string[]
  summary: string
  description?: string
  'x-role'?: string
  security?: Record<string, string[]>[]
  parameters: Record<string, unknown>[]
  requestBody?: Record<string, unknown>
  responses: Record<string, Record<string, unknown>>
}

const NOBODY = { security: [{}] }
const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
})
const json = (description: string, properties: Record<string, unknown>) => ({
  description,
  content: { 'application/json': { schema: { type: 'object', properties, required: Object.keys(properties) } } },
})
const text = { type: 'string' }
const uuid = { name: 'uuid', in: 'path', required: true, schema: { type: 'string', format: 'uuid' } }
const signature = { name: 'signature', in: 'query', required: true, schema: text }
const bytes = (description: string) => ({
  description,
  content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
})
const check = {
  type: 'object',
  properties: { name: text, ok: { type: 'boolean' }, reason: { type: ['string', 'null'] } },
  required: ['name', 'ok', 'reason'],
}
const readiness = { status: text, checks: { type: 'array', items: check } }

/** What is beside the table of routes: signed links, which are their own permission, and what watches the service. */
export const OUTSIDE_PATHS: Record<string, Record<string, Operation>> = {
  '/apps/v3/downloads/{uuid}/{form}': {
    get: {
      operationId: 'get-downloads-uuid-form',
      tags: ['backup-downloads'],
      summary: 'Sends an artifact, or all of a download, to whoever has its signed link.',
      ...NOBODY,
      parameters: [
        uuid,
        { name: 'form', in: 'path', required: true, schema: { enum: ['plain', 'stored', 'bundle'] } },
        { name: 'expires', in: 'query', required: true, schema: text },
        signature,
      ],
      responses: {
        200: bytes('All of it.'),
        206: bytes('The range that was asked for; of the stored form only.'),
        404: problem('NOT_FOUND'),
        410: problem('LINK_EXPIRED'),
        416: problem('RANGE_NOT_SATISFIABLE'),
        422: problem('REQUEST_INVALID'),
        503: problem('KEY_MISSING, STORE_UNREACHABLE, SERVICE_UNAVAILABLE'),
      },
    },
  },
  '/apps/v3/uploads/{uuid}/content': {
    put: {
      operationId: 'put-uploads-uuid-content',
      tags: ['backups'],
      summary: 'Takes the bytes of an upload; sent again, they replace what was sent.',
      ...NOBODY,
      parameters: [uuid, signature],
      requestBody: {
        required: true,
        content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
      },
      responses: {
        200: json('It is stored.', { size: { type: 'integer' }, sha256: text }),
        400: problem('REQUEST_MALFORMED'),
        404: problem('NOT_FOUND'),
        409: problem('CONFLICT'),
        410: problem('LINK_EXPIRED'),
        413: problem('REQUEST_TOO_LARGE'),
      },
    },
  },
  '/apps/v3/uploads/{uuid}/finish': {
    post: {
      operationId: 'post-uploads-uuid-finish',
      tags: ['backups'],
      summary: 'Says that all was sent; works once.',
      ...NOBODY,
      parameters: [uuid, signature],
      responses: {
        200: json('It is checked next.', { uuid: text, state: { const: 'QUEUED' } }),
        404: problem('NOT_FOUND'),
        409: problem('CONFLICT'),
        410: problem('LINK_EXPIRED'),
      },
    },
  },
  '/metrics': {
    get: {
      operationId: 'get-metrics',
      tags: ['service'],
      summary: 'Shows figures for Prometheus.',
      parameters: [],
      responses: {
        200: { description: 'In the text format of Prometheus.', content: { 'text/plain': { schema: text } } },
        401: problem('UNAUTHENTICATED'),
        403: problem('FORBIDDEN'),
      },
    },
  },
  '/healthz': {
    get: {
      operationId: 'get-healthz',
      tags: ['service'],
      summary: 'Says that the process lives.',
      ...NOBODY,
      parameters: [],
      responses: { 200: json('It does.', { status: { const: 'ok' } }) },
    },
  },
  '/readyz': {
    get: {
      operationId: 'get-readyz',
      tags: ['service'],
      summary: 'Says whether everything that a backup needs answers, and what does not.',
      ...NOBODY,
      parameters: [],
      responses: { 200: json('It does.', readiness), 503: json('It does not.', readiness) },
    },
  },
}
