import { inNetworks, isNetwork, isNeverAllowed, isPublic, type Address } from './addresses.ts'

/** Where something may be sent to. The one rule for every address that somebody hands to Coffer. */
export interface EgressPolicy {
  /** Whether the operator has named this host, or its network. */
  isNamed: (host: string, address: Address) => boolean
  /** Whether it may be reached at all. */
  allows: (host: string, address: Address) => boolean
}

/** Names under which clouds hand out credentials, whatever they resolve to. */
const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
])

const HOST_NAME = /^[a-z\d]([a-z\d._-]*[a-z\d])?$/i

/** An entry of COFFER_EGRESS_ALLOW: a network (`10.0.0.0/8`) or the name of a host (`db.internal`). */
export const isAllowEntry = (entry: string): boolean =>
  isNetwork(entry) || (!entry.includes('/') && HOST_NAME.test(entry))

const plainName = (host: string) => host.toLowerCase().replace(/\.$/, '')

/**
 * The public internet, and what the operator has named. Addresses where clouds hand out credentials, and those that mean nobody in
 * particular, are not allowed even then.
 * @param allow entries of COFFER_EGRESS_ALLOW
 */
export function egressPolicy(allow: readonly string[]): EgressPolicy {
  const names = new Set(allow.filter((entry) => !isNetwork(entry)).map(plainName))
  const isInNetwork = inNetworks(allow.filter(isNetwork))
  const isNamed = (host: string, address: Address) => names.has(plainName(host)) || isInNetwork(address)
  return {
    isNamed,
    allows: (host, address) => !isNeverAllowed(address) && (isPublic(address) || isNamed(host, address)),
  }
}

/** Asked by vetHost before any resolver is. */
export const isMetadataName = (host: string): boolean => METADATA_NAMES.has(plainName(host))

/** For databases that an admin of the whole installation registers: private networks are where databases live. */
export const databasePolicy: EgressPolicy = {
  isNamed: () => true,
  allows: (_host, address) => !isNeverAllowed(address),
}
