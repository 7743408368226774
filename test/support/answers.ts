import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { expect } from 'vitest'
import { apiRoutes } from '../../producer/app.ts'
import { openApi, templateOf } from '../../producer/openapi.ts'
import type { Producer } from '../../producer/producer.ts'
import type { Route } from '../../producer/routes.ts'
import type { Answer } from './producer.ts'

/** The handlers are not called: only what the table of routes says of each is read. */
export const ROUTES = apiRoutes({ settings: {} } as Producer)
export const DOCUMENT = openApi(ROUTES)

const ajv = new Ajv2020({ strict: false, allErrors: true })
addFormats.default(ajv)
ajv.addSchema({ ...DOCUMENT, $id: 'coffer' })
const validators = new Map<string, ValidateFunction>()

const escaped = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1')

function validatorOf(pointer: string): ValidateFunction {
  const known = validators.get(pointer)
  if (known) return known
  const made = ajv.compile({ $ref: `coffer#/${pointer}` })
  validators.set(pointer, made)
  return made
}

/** Fails unless the answer is one that the document foresees for this route, with the body that it says. */
export function expectDeclared(
  { method, path }: Pick<Route, 'method' | 'path'>,
  { status, body, text, headers }: Answer,
): void {
  const operation = DOCUMENT.paths[templateOf(path)]?.[method.toLowerCase()]
  const answer = operation?.responses[String(status)]
  expect(answer, `${method} ${path} answers ${status}: ${text.slice(0, 300)}`).toBeDefined()
  const [type] = Object.keys(answer?.['content'] ?? {})
  if (type === undefined) {
    expect(text).toBe('')
    return
  }
  expect(headers.get('content-type')).toContain(type)
  if (!type.includes('json')) return
  const pointer = [
    'paths',
    escaped(templateOf(path)),
    method.toLowerCase(),
    'responses',
    status,
    'content',
    escaped(type),
    'schema',
  ]
  const validate = validatorOf(pointer.join('/').replaceAll('{', '%7B').replaceAll('}', '%7D'))
  validate(body)
  expect(validate.errors ?? [], `${method} ${path} ${status}: ${text.slice(0, 2000)}`).toEqual([])
  if (status >= 400)
    expect(String(answer?.['description']).split(', '), `${method} ${path}: ${text}`).toContain(body['code'])
}
