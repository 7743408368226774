import type { ServiceType } from './states.ts'

/** Where an attempt's objects lie, relative to the store's own prefix. */
export interface AttemptPlace {
  organisation: string
  application: string
  environment: string
  /** The day whose folder it lies in. */
  createdAt: Date
  backupId: string
  servicePrefix: string
  serviceType: ServiceType
  attempt: number
}

const pad = (value: number) => String(value).padStart(2, '0')

/** `<organisation>/<application>/<environment>/<YYYY>/<MM>/<backup id>/<service prefix>-<type>.<attempt>/`, year and month in UTC. */
export function attemptPrefix(place: AttemptPlace): string {
  const { createdAt } = place
  return [
    place.organisation,
    place.application,
    place.environment,
    String(createdAt.getUTCFullYear()),
    pad(createdAt.getUTCMonth() + 1),
    place.backupId,
    `${place.servicePrefix}-${place.serviceType}.${place.attempt}`,
    '',
  ].join('/')
}

/** The parts of a key that tell whose it is; null for a key that is not of this shape. */
export function parseKey(
  key: string,
): { backupId: string; servicePrefix: string; serviceType: ServiceType; attempt: number; name: string } | null {
  const match = /\/\d{4}\/\d{2}\/([0-9a-f-]{36})\/([A-Za-z0-9_-]+)-(DATABASE|STORAGE)\.(\d+)\/([^/]+)$/.exec(`/${key}`)
  if (!match) return null
  const [, backupId = '', servicePrefix = '', serviceType, attempt, name = ''] = match
  return { backupId, servicePrefix, serviceType: serviceType as ServiceType, attempt: Number(attempt), name }
}
