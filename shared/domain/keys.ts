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

/** The parts of a key that tell whose it is. `attempts` is what the keys of all its attempts begin with, up to the attempt's number. */
export interface KeyParts {
  attempts: string
  backupId: string
  servicePrefix: string
  serviceType: ServiceType
  attempt: number
  name: string
}

const KEY =
  /^(?<attempts>(?:.+\/)?\d{4}\/\d{2}\/(?<backupId>[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\/(?<servicePrefix>[\w-]+)-(?<serviceType>DATABASE|STORAGE)\.)(?<attempt>\d+)\/(?<name>[^/]+)$/

/** null for a key that is not of this shape. */
export function parseKey(key: string): KeyParts | null {
  const parts = KEY.exec(key)?.groups as Record<keyof KeyParts, string> | undefined
  return parts ? { ...parts, serviceType: parts.serviceType as ServiceType, attempt: Number(parts.attempt) } : null
}
