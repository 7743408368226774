import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import { parseToken, parseUrl } from '../address.ts'
import { askSecretly } from '../ask-secretly.ts'
import type { Context, Runner } from '../context.ts'
import { readLogins, writeLogins } from '../logins.ts'
import type { Result } from '../output.ts'
import { Identity } from '../resources/environments.ts'

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

export function addLoginCommands(program: Command, run: Runner): void {
  program
    .command('login <url>')
    .description('keep a token for a producer, read from stdin or typed unseen; from now on commands go there')
    .action(run(login))
  program
    .command('logout [url]')
    .description('forget the token of a producer (default: where the last login went)')
    .action(run(logout))
}

async function login(context: Context, address: string): Promise<Result> {
  const { output, loginsFile } = context
  const url = usable(() => parseUrl(address, `"${address}"`))
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname))
    output.note(`warning: whoever listens between here and ${url.host} sees the token: use https`)
  const given = await askSecretly(context, `Token for ${url.href}`)
  const token = usable(() => parseToken(given, 'stdin'))
  const api = context.apiAt({ url, urlFrom: 'the command line', token, tokenFrom: 'stdin' })
  // A token that does not work is not kept.
  const me = await api.get('/iam/v3/me/', Identity)
  const logins = readLogins(loginsFile)
  writeLogins(loginsFile, { current: url.href, tokens: { ...logins.tokens, [url.href]: token } })
  return {
    document: { producer: url.href, me, kept_in: loginsFile },
    lines: [
      `logged in at ${url.href} as ${me.first_name ?? '-'} (${me.role ?? '-'}); the token is kept in ${loginsFile}`,
    ],
  }
}

function logout({ loginsFile }: Context, address: string | undefined): Promise<Result> {
  const { current, tokens } = readLogins(loginsFile)
  const href = address === undefined ? current : usable(() => parseUrl(address, `"${address}"`)).href
  if (href === null || tokens[href] === undefined)
    throw new CofferError('NOT_FOUND', `nobody has logged in${href === null ? '' : ` at ${href}`}`)
  const others = Object.fromEntries(Object.entries(tokens).filter(([kept]) => kept !== href))
  writeLogins(loginsFile, { current: current === href ? null : current, tokens: others })
  return Promise.resolve({
    document: { producer: href },
    lines: [`the token for ${href} is forgotten here; "coffer token revoke" ends it everywhere`],
  })
}

/** What a person gives on the command line is wrong usage, and not a wrong configuration. */
function usable<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw cause instanceof CofferError ? new CofferError('USAGE_INVALID', cause.message, { cause }) : cause
  }
}
