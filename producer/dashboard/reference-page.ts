import type { OpenApi, JsonSchema } from '../openapi.ts'
import type { Operation } from '../openapi-outside.ts'
import { html, type Html } from './html.ts'
import { renderPage } from './layout.ts'
import { fieldsOf, typeOf } from './schema-text.ts'

/** The document for people: every route by its resource, then what is answered. No script, nothing from elsewhere. */
export function renderReference({ info, tags, paths, components }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(([method, operation]) => ({ path, method, operation })),
  )
  const body = html`
    <h1>The API</h1>
    <p>
      ${info.description} The same for programs: <a href="/openapi.json">/openapi.json</a>. Every error is a
      <a href="#Problem">problem document</a>.
    </p>
    <p>${tags.map(({ name }) => html`<a href="#${name}">${name}</a> `)}</p>
    ${tags.map(
      ({ name }) => html`
        <h2 id="${name}">${name}</h2>
        ${operations.filter(({ operation }) => operation.tags.includes(name)).map(renderOperation)}
      `,
    )}
    <h2 id="answers">answers</h2>
    ${Object.entries(components.schemas).map(
      ([name, schema]) => html`
        <details id="${name}">
          <summary><b>${name}</b></summary>
          ${renderFields(schema)}
        </details>
      `,
    )}
  `
  return renderPage({ title: 'API', actor: null, refreshSeconds: null, body })
}

interface Shown {
  path: string
  method: string
  operation: Operation
}

function renderOperation({ path, method, operation }: Shown): Html {
  const { summary, parameters, requestBody, responses, operationId } = operation
  const [media] = Object.values((requestBody?.['content'] ?? {}) as Record<string, Media>)
  return html`
    <details id="${operationId}">
      <summary>
        <b>${method.toUpperCase()}</b> <code>${path}</code> ${summary}
        <span class="quiet">${operation['x-role'] ?? ''}</span>
      </summary>
      ${parameters.length > 0 ? renderParameters(parameters) : null} ${media ? renderFields(media.schema) : null}
      ${media?.example === undefined ? null : html`<pre>${JSON.stringify(media.example, null, 2)}</pre>`}
      <table>
        <tbody>
          ${Object.entries(responses).map(
            ([status, answer]) =>
              html`<tr>
                <td>${status}</td>
                <td class="notes">${answer['description'] as string} ${answerOf(answer)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </details>
  `
}

interface Media {
  schema: JsonSchema
  example?: unknown
  'x-data'?: JsonSchema
}

function answerOf(answer: Record<string, unknown>): Html | null {
  const [media] = Object.values((answer['content'] ?? {}) as Record<string, Media>)
  if (!media) return null
  const rows = (media.schema['properties'] as Record<string, JsonSchema> | undefined)?.['results']
  return renderType(media['x-data'] ?? rows ?? media.schema)
}

const renderParameters = (parameters: readonly JsonSchema[]): Html | null =>
  renderTable(
    parameters.map(({ name, in: place, schema, required, description, $ref }) => ({
      name: $ref === undefined ? (name as string) : 'Idempotency-Key',
      isRequired: required === true,
      type: html`${place === undefined ? 'header' : (place as string)}
      ${schema ? renderType(schema as JsonSchema) : null}`,
      description: typeof description === 'string' ? description : '',
    })),
  )

const renderFields = (schema: JsonSchema): Html | null =>
  renderTable(fieldsOf(schema).map((field) => ({ ...field, type: renderType(field.schema) })))

interface Row {
  name: string
  isRequired: boolean
  type: Html
  description: string
}

const renderTable = (rows: readonly Row[]): Html | null =>
  rows.length === 0
    ? null
    : html`<table>
        <tbody>
          ${rows.map(
            ({ name, isRequired, type, description }) =>
              html`<tr>
                <td><code>${name}${isRequired ? '' : '?'}</code></td>
                <td class="notes">${type}</td>
                <td class="notes quiet">${description}</td>
              </tr>`,
          )}
        </tbody>
      </table>`

/** Names of answers lead to them. */
const renderType = (schema: JsonSchema): Html =>
  html`${typeOf(schema).map((part) => (part.isName ? html`<a href="#${part.text}">${part.text}</a>` : part.text))}`
