import { Option } from 'commander'
import type { Command } from 'commander'
import type { Context, Runner } from '../context.ts'
import { findOrganisation, findToken, ORGANISATIONS, TOKENS } from '../names.ts'
import type { Result } from '../output.ts'
import { NewToken, Organisation, Token } from '../resources/access.ts'
import { formatTime, table } from '../text.ts'

const ROLES = ['viewer', 'operator', 'admin']

interface CreateOptions {
  role: string
  organisation?: string
  expires?: string
}

export function addTokenCommands(program: Command, run: Runner): void {
  const token = program.command('token').description('the tokens that people and programs come with')
  token
    .command('create <name>')
    .description('make a token; it is printed once, alone on stdout, and nobody can read it again')
    .addOption(new Option('--role <role>').choices(ROLES).makeOptionMandatory())
    .option('--organisation <organisation>', 'of what it sees and does (default: that of the token in use)')
    .option('--expires <time>', 'such as 2030-01-31T12:00:00Z; default: never')
    .action(run(create))
  token.command('list').description('list those that were not revoked').action(run(list))
  token
    .command('revoke <token>')
    .description('end a token, by its name or uuid, from the next request on')
    .action(
      run(async ({ api }, name: string) => {
        const found = await findToken(api, name)
        await api.delete(`${TOKENS}${found.uuid}/`)
        return { document: found, lines: [`token ${found.name} is revoked`] }
      }),
    )
}

async function create({ api, output }: Context, name: string, options: CreateOptions): Promise<Result> {
  const { role, organisation, expires } = options
  const chosen = organisation === undefined ? undefined : await findOrganisation(api, organisation)
  const body = {
    name,
    role,
    ...(chosen && { organisation: chosen.uuid }),
    ...(expires === undefined ? {} : { expires_at: expires }),
  }
  const made = await api.post(TOKENS, body, NewToken)
  output.note(`token ${made.name} (${made.role}), ${made.uuid}; keep it now, it is not shown again:`)
  return { document: made, lines: [made.token] }
}

async function list({ api }: Context): Promise<Result> {
  const tokens = await api.list(TOKENS, {}, Token)
  const organisations = await api.list(ORGANISATIONS, {}, Organisation)
  const slugs = new Map(organisations.map(({ uuid, slug }) => [uuid, slug]))
  const rows = tokens.map((token) => [
    token.name,
    token.role,
    token.organisation === null ? 'all' : (slugs.get(token.organisation) ?? token.organisation),
    token.expires_at === null ? 'never' : formatTime(token.expires_at),
    formatTime(token.last_used_at),
    token.uuid,
  ])
  return {
    document: tokens,
    lines: table(['NAME', 'ROLE', 'ORGANISATION', 'EXPIRES', 'LAST USED', 'UUID'], rows),
  }
}
