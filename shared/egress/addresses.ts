import { BlockList, isIPv4, isIPv6 } from 'node:net'

/** An IP address in its shortest written form; an IPv6 one that only carries an IPv4 one is that IPv4 one. */
export interface Address {
  address: string
  family: 4 | 6
}

/** @returns null: the text is no IP address that can be judged (a zone such as `%eth0` is none of ours) */
export function parseAddress(text: string): Address | null {
  if (isIPv4(text)) return { address: text, family: 4 }
  if (!isIPv6(text) || text.includes('%')) return null
  const groups = groupsOf(text)
  return carried(groups) ?? { address: new URL(`http://[${text}]`).hostname.slice(1, -1), family: 6 }
}

/** What one client may have all of: an IPv4 address, or the /64 of an IPv6 one. Other text is given back as it is. */
export function networkOf(text: string): string {
  const parsed = parseAddress(text.replace(/%.*$/, ''))
  if (!parsed || parsed.family === 4) return parsed?.address ?? text
  const groups = groupsOf(parsed.address).slice(0, 4)
  return `${groups.map((group) => group.toString(16)).join(':')}::/64`
}

/** The IPv4 address that IPv4-mapped (::ffff:0:0/96) and NAT64 (64:ff9b::/96) ones lead to. */
function carried(groups: readonly number[]): Address | null {
  const head = groups.slice(0, 6).map((group) => group.toString(16))
  const leadsToIPv4 = ['0:0:0:0:0:ffff', '64:ff9b:0:0:0:0'].includes(head.join(':'))
  if (!leadsToIPv4) return null
  const bytes = groups.slice(6).flatMap((group) => [group >> 8, group & 0xff])
  return { address: bytes.join('.'), family: 4 }
}

function groupsOf(ipv6: string): number[] {
  const [left = '', right] = new URL(`http://[${ipv6}]`).hostname.slice(1, -1).split('::')
  const parse = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [head, tail] = [parse(left), parse(right ?? '')]
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

function listOf(...subnets: string[]): BlockList {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network = '', prefix] = subnet.split('/')
    list.addSubnet(network, Number(prefix), isIPv4(network) ? 'ipv4' : 'ipv6')
  }
  return list
}

const has = (list: BlockList, { address, family }: Address) => list.check(address, family === 4 ? 'ipv4' : 'ipv6')

/** What nobody may ever be led to: where clouds hand out credentials, what means "this machine" or "everybody". */
const NEVER = listOf(
  '0.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  '::/128',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
)

// IANA's special-purpose registries.
const NOT_PUBLIC_IPV4 = listOf(
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
)
const GLOBAL_IPV6 = listOf('2000::/3')
// Teredo and 6to4 carry IPv4 addresses, too; nothing that is served today lives there.
const NOT_PUBLIC_IPV6 = listOf('2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20')

export const isNeverAllowed = (address: Address): boolean => has(NEVER, address)

/** Whether the address belongs to the public internet. */
export const isPublic = (address: Address): boolean =>
  !isNeverAllowed(address) &&
  (address.family === 4 ? !has(NOT_PUBLIC_IPV4, address) : has(GLOBAL_IPV6, address) && !has(NOT_PUBLIC_IPV6, address))

/** Whether the text is a network such as `10.0.0.0/8`. */
export function isNetwork(text: string): boolean {
  const [network = '', prefix = '', ...rest] = text.split('/')
  if (rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return false
  return (isIPv4(network) && Number(prefix) <= 32) || (isIPv6(network) && Number(prefix) <= 128)
}

/** A test for addresses in any of these networks. */
export function inNetworks(networks: readonly string[]): (address: Address) => boolean {
  const list = listOf(...networks)
  return (address) => has(list, address)
}
