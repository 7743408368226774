import fc, { type Arbitrary } from 'fast-check'
import type { JsonSchema } from '../../producer/openapi.ts'

/** Ids that there are, so that what is drawn is about something. */
export type KnownIds = (field: string) => readonly string[]

const PRINTABLE = fc.string({ maxLength: 20 })
const DAY_MS = 86_400_000

/** Values that a schema of the document allows. */
export function fromSchema(schema: JsonSchema, known: KnownIds, field = ''): Arbitrary<unknown> {
  const alternatives = [schema['oneOf'], schema['anyOf']].find(Array.isArray) as JsonSchema[] | undefined
  if (alternatives) return fc.oneof(...alternatives.map((one) => fromSchema(one, known, field)))
  if ('const' in schema) return fc.constant(schema['const'])
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]))
  const { minimum: min = 0, maximum: max = 1000 } = schema as { minimum?: number; maximum?: number }
  switch (schema['type']) {
    case 'object':
      return objectOf(schema, known)
    case 'array': {
      const { minItems: minLength = 0, items } = schema as { minItems?: number; items: JsonSchema }
      return fc.array(fromSchema(items, known, field), { minLength, maxLength: minLength + 2 })
    }
    case 'string':
      return textOf(schema, known, field)
    case 'integer':
    case 'number':
      return fc.integer({ min, max: Math.min(max, min + 1000) })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      throw new Error(`no values are known for ${JSON.stringify(schema)}`)
  }
}

function objectOf(schema: JsonSchema, known: KnownIds): Arbitrary<unknown> {
  const properties = (schema['properties'] ?? {}) as Record<string, JsonSchema>
  const fields = Object.entries(properties).map(([name, inner]) => [name, fromSchema(inner, known, name)] as const)
  const requiredKeys = (schema['required'] ?? []) as string[]
  return fc.record(Object.fromEntries(fields), { requiredKeys, noNullPrototype: true })
}

function textOf(schema: JsonSchema, known: KnownIds, field: string): Arbitrary<string> {
  const {
    format,
    pattern,
    minLength = 0,
    maxLength = 40,
  } = schema as Record<string, string> & { minLength?: number; maxLength?: number }
  if (format === 'uuid') return fc.oneof({ arbitrary: oneOf(() => known(field)), weight: 9 }, fc.uuid())
  if (format === 'date-time')
    return fc.integer({ min: 1, max: 3000 }).map((days) => new Date(Date.now() + days * DAY_MS).toISOString())
  if (format === 'email') return fc.constantFrom('ops@example.com', 'a.b@example.org')
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern)).map((text) => text.slice(0, 4096))
  return fc.oneof(
    PRINTABLE.map((text) => text.padEnd(minLength, 'x').slice(0, maxLength)),
    fc.constantFrom('UTC', 'Europe/Zurich', 'postgres://user:password@db.example.com/shop'),
  )
}

/** Drawn when it is used, since what there is changes on the way. */
const oneOf = (known: () => readonly string[]): Arbitrary<string> =>
  fc.nat().map((index) => known()[index % known().length] ?? '')

const nested = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown

/** What no schema foresees. */
export const HOSTILE: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 0, -1, 1.5, 2 ** 53, -(2 ** 63), 1e308, [], {}, [[]], [null], { a: {} }),
  fc.constantFrom(
    '\0',
    'a\0b',
    '\ud800',
    'a\udfff',
    '\u202e',
    'ÿ'.repeat(300),
    'x'.repeat(50_000),
    "'; --",
    '../../x',
    '%00',
    '${7*7}',
  ),
  fc.constantFrom<unknown>(nested(20), nested(40), JSON.parse('{"__proto__": {"admin": true}}'), {
    constructor: { prototype: {} },
  }),
  fc.constantFrom(
    '00000000-0000-0000-0000-00000000000',
    'null',
    'NaN',
    '1e9',
    '2026-02-30T00:00:00Z',
    '9999-12-31T23:59:59+14:00',
  ),
  fc.jsonValue({ maxDepth: 3 }),
)

/** One that was valid, with something wrong in it. */
export const spoiled = (value: unknown): Arbitrary<unknown> =>
  fc
    .tuple(fc.nat(), HOSTILE, fc.constantFrom('replace', 'remove', 'add', 'proto'))
    .map(([at, hostile, how]) => spoil(value, at, hostile, how))

function spoil(value: unknown, at: number, hostile: unknown, how: string): unknown {
  if (typeof value !== 'object' || value === null) return hostile
  if (Array.isArray(value))
    return value.map((item, index) =>
      index === at % value.length ? spoil(item as unknown, at, hostile, how) : (item as unknown),
    )
  if (how === 'proto')
    return JSON.parse(
      `{"__proto__": {"role": "admin"}, ${JSON.stringify(value).slice(1)}`.replace(/, }$/, '}'),
    ) as unknown
  if (how === 'add') return { ...value, [typeof hostile === 'string' ? hostile.slice(0, 300) : 'unknown']: hostile }
  const keys = Object.keys(value)
  const key = keys[at % Math.max(1, keys.length)] ?? 'nothing'
  const rest = Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))
  return how === 'remove' ? rest : { ...rest, [key]: hostile }
}
