import { z } from 'zod'
import { CofferError } from './errors.ts'
import type { ServiceType } from './domain/states.ts'
import type { Secrets } from './secrets.ts'

/** `connection` of a service instance as the API takes it. Write-only: it is stored encrypted and never shown again. */
export const Connection = z.object({ url: z.string().min(1).max(4096) })
export type Connection = z.infer<typeof Connection>

const SCHEMES: Record<ServiceType, readonly string[]> = {
  DATABASE: ['postgres:', 'postgresql:'],
  STORAGE: ['file:'],
}

/** @throws CONNECTION_INVALID when the scheme does not fit the type of the service instance */
export function requireScheme(type: ServiceType, connection: Connection): void {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(connection.url)?.[0].toLowerCase() ?? ''
  if (SCHEMES[type].includes(scheme)) return
  throw new CofferError(
    'CONNECTION_INVALID',
    `the connection of a ${type} service instance must begin with ${SCHEMES[type].map((known) => `${known}//`).join(' or ')}, not "${scheme}"`,
    { details: { field: 'connection.url' } },
  )
}

export const encryptConnection = (secrets: Secrets, serviceInstanceId: string, connection: Connection): Buffer =>
  secrets.encrypt(JSON.stringify(connection), `service instance ${serviceInstanceId}`)

/** @throws CONNECTION_MISSING (the catalog was rebuilt since), KEY_WRONG */
export function decryptConnection(secrets: Secrets, serviceInstanceId: string, box: Buffer | null): Connection {
  if (box === null)
    throw new CofferError(
      'CONNECTION_MISSING',
      `service instance ${serviceInstanceId} has no connection: the catalog was rebuilt, and nobody has given it again`,
    )
  return Connection.parse(JSON.parse(secrets.decrypt(box, `service instance ${serviceInstanceId}`)))
}
