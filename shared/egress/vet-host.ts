import { lookup as systemLookup } from 'node:dns/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { CofferError } from '../errors.ts'
import { parseAddress, type Address } from './addresses.ts'
import { isMetadataName, type EgressPolicy } from './policy.ts'

/** All addresses of a name, as the system finds them. */
export type Lookup = (host: string) => Promise<{ address: string }[]>

const lookupAll: Lookup = (host) => systemLookup(host, { all: true })

const LONGEST_LOOKUP_MS = 5_000

const NUMBERS = /^(0x[\da-f]*|\d+)(\.(0x[\da-f]*|\d+)){0,3}\.?$/i

/**
 * The address that a host is written as, also in the forms that resolvers take: `2130706433`, `0x7f.1` and `017700000001` are 127.0.0.1.
 * null: it is a name.
 */
export function literalAddress(host: string): Address | null {
  const bare = host.replace(/^\[|\]$/g, '')
  const address = parseAddress(bare)
  if (address || !NUMBERS.test(bare)) return address
  return URL.canParse(`http://${bare}`) ? parseAddress(new URL(`http://${bare}`).hostname) : null
}

/**
 * Resolves the host once and judges every address it has. Connect to one of those that are returned and ask no resolver again: a second
 * answer may be another.
 * @returns one at least
 * @throws EGRESS_REFUSED when any address is refused, HOST_UNKNOWN
 */
export async function vetHost(host: string, policy: EgressPolicy, lookup: Lookup = lookupAll): Promise<Address[]> {
  const literal = literalAddress(host)
  const found = isMetadataName(host) ? [] : literal ? [literal] : await resolve(host, lookup)
  const allowed = found.filter((address): address is Address => address !== null && policy.allows(host, address))
  if (allowed.length === found.length && allowed.length > 0) return allowed
  throw new CofferError('EGRESS_REFUSED', `the host ${host} leads where nothing may be sent to`)
}

async function resolve(host: string, lookup: Lookup): Promise<(Address | null)[]> {
  const over = new AbortController()
  // Name servers that never answer would hold on to whoever asks for as long as the system waits for them.
  const late = delay(LONGEST_LOOKUP_MS, null, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${LONGEST_LOOKUP_MS} ms`)
  })
  late.catch(() => undefined)
  try {
    return (await Promise.race([lookup(host), late])).map(({ address }) => parseAddress(address))
  } catch (cause) {
    throw new CofferError('HOST_UNKNOWN', `the host ${host} has no address that can be found`, { cause })
  } finally {
    over.abort()
  }
}
