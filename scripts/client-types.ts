import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript'
import { format, resolveConfig } from 'prettier'
import { apiRoutes } from '../producer/app.ts'
import { openApi } from '../producer/openapi.ts'
import type { Producer } from '../producer/producer.ts'

export const CLIENT_SCHEMA = join(import.meta.dirname, '../client/src/schema.ts')

/** The types of the client, from the description of the API. */
export async function clientTypes(): Promise<string> {
  // Only what the table says of each route is read.
  const document = openApi(apiRoutes({ settings: {} } as Producer))
  // Refusals are the same problem document everywhere.
  for (const operation of Object.values(document.paths).flatMap((byMethod) => Object.values(byMethod)))
    operation.responses = Object.fromEntries(
      Object.entries(operation.responses).filter(([status]) => Number(status) < 400),
    )
  const types = astToString(await openapiTS(document as unknown as OpenAPI3))
  const text = `// Generated from /openapi.json by "npm run client:types".\n\n${types}`
  return format(text, { ...(await resolveConfig(CLIENT_SCHEMA)), filepath: CLIENT_SCHEMA })
}

if (process.argv[1] === import.meta.filename) await writeFile(CLIENT_SCHEMA, await clientTypes())
