import { BlockList, isIPv4, isIPv6 } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isIPv4(host)) return loopback.check(host, 'ipv4')
  if (isIPv6(host)) return loopback.check(host, 'ipv6')
  return host === 'localhost' || host.endsWith('.localhost')
}

/** What stands against talking to this endpoint, or null. Backups and signatures cross no network in plain text unless allowed. */
export function endpointProblem(endpoint: URL, allowInsecure: boolean): string | null {
  if (endpoint.protocol !== 'https:' && endpoint.protocol !== 'http:') return 'endpoint must be https:// or http://'
  if (endpoint.username || endpoint.password) return 'endpoint must not hold credentials'
  if (endpoint.search || endpoint.hash) return 'endpoint must not have parameters or a fragment'
  if (endpoint.protocol === 'http:' && !allowInsecure && !isLoopback(endpoint.hostname)) {
    return `endpoint ${endpoint.origin} is plain http and not loopback; use https, or allow it with allowInsecure=true`
  }
  return null
}
