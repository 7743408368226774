import { CofferError } from '../errors.ts'
import type { Address } from './addresses.ts'
import type { EgressPolicy } from './policy.ts'
import { vetHost, type Lookup } from './vet-host.ts'

export interface VettedUrl {
  url: URL
  /** Where to connect to: one at least. */
  addresses: Address[]
}

/**
 * An address of the web that something may be sent to: https at its usual port, without user or password. What the operator has named
 * may also be reached by http and at any port.
 * @throws EGRESS_REFUSED, HOST_UNKNOWN; their messages hold the host only, since the rest may be a secret
 */
export async function vetUrl(text: string, policy: EgressPolicy, lookup?: Lookup): Promise<VettedUrl> {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw refused('is not one of https://')
  if (url.username !== '' || url.password !== '') throw refused('holds a user or a password')
  const addresses = await vetHost(url.hostname, policy, lookup)
  const isNamed = addresses.every((address) => policy.isNamed(url.hostname, address))
  if (url.protocol === 'http:' && !isNamed)
    throw refused(`is plain http, and the operator has not named ${url.hostname}`)
  if (url.port !== '' && !isNamed)
    throw refused(`has a port of its own, and the operator has not named ${url.hostname}`)
  return { url, addresses }
}

const refused = (why: string) => new CofferError('EGRESS_REFUSED', `the address ${why}`)
