import type { JsonSchema } from '../openapi.ts'

export interface Field {
  /** With those that it lies in: `connection.url`, `schedules[].kind`. */
  name: string
  isRequired: boolean
  schema: JsonSchema
  description: string
}

export interface TypePart {
  text: string
  /** Of a schema of the document. */
  isName: boolean
}

const listOf = (value: unknown): JsonSchema[] => (Array.isArray(value) ? (value as JsonSchema[]) : [])

/** The fields of an object, and of the objects in it. */
export function fieldsOf(schema: JsonSchema, prefix = ''): Field[] {
  const required = (schema['required'] ?? []) as string[]
  return Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>).flatMap(([key, inner]) => {
    const name = prefix + key
    const { description } = inner
    const own = {
      name,
      isRequired: required.includes(key),
      schema: inner,
      description: typeof description === 'string' ? description : '',
    }
    return [own, ...nestedFields(inner, name)]
  })
}

function nestedFields(schema: JsonSchema, name: string): Field[] {
  if (schema['items'] !== undefined) return nestedFields(schema['items'] as JsonSchema, `${name}[]`)
  const alternatives = [...listOf(schema['oneOf']), ...listOf(schema['anyOf'])]
  const found = [schema, ...alternatives].flatMap((one) => fieldsOf(one, `${name}.`))
  return found.filter((field, index) => found.findIndex((other) => other.name === field.name) === index)
}

const plain = (text: string): TypePart[] => [{ text, isName: false }]

/** A type in a few words: `text, 1 to 200 characters`, `list of Backup`. */
export function typeOf(schema: JsonSchema): TypePart[] {
  if (typeof schema['$ref'] === 'string') return [{ text: schema['$ref'].split('/').at(-1) ?? '', isName: true }]
  const alternatives = [...listOf(schema['oneOf']), ...listOf(schema['anyOf'])]
  if (alternatives.length > 0)
    return alternatives.flatMap((one, index) => [...plain(index ? ' or ' : ''), ...typeOf(one)])
  if (schema['const'] !== undefined) return plain(JSON.stringify(schema['const']))
  if (Array.isArray(schema['enum'])) return plain(schema['enum'].join(' | '))
  if (schema['items'] !== undefined) return [...plain('list of '), ...typeOf(schema['items'] as JsonSchema)]
  const { type, format } = schema
  const name =
    typeof format === 'string'
      ? format
      : (typeof type === 'string' ? [type] : Array.isArray(type) ? (type as string[]) : ['anything']).join(' or ')
  return plain([name, ...limitsOf(schema)].join(', '))
}

function limitsOf(schema: JsonSchema): string[] {
  const { default: usual, pattern } = schema
  const limits = [
    ['at least', schema['minimum'] ?? schema['minLength']],
    ['at most', schema['maximum'] ?? schema['maxLength']],
  ] as const
  return [
    ...limits.filter(([, limit]) => typeof limit === 'number').map(([words, limit]) => `${words} ${String(limit)}`),
    ...(typeof pattern === 'string' ? [pattern] : []),
    ...(usual === undefined ? [] : [`usually ${JSON.stringify(usual)}`]),
  ]
}
