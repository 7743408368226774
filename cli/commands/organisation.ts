import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import type { Runner } from '../context.ts'
import { findOrganisation, ORGANISATIONS } from '../names.ts'
import type { Result } from '../output.ts'
import { Organisation } from '../resources/access.ts'
import { fields, table } from '../text.ts'
import { collect } from './collect.ts'

interface RootOptions {
  mediaRoot?: string[]
  allMediaRoots?: boolean
}

export function addOrganisationCommands(program: Command, run: Runner): void {
  const organisation = program.command('organisation').description('whose applications and tokens there are')
  withRoots(organisation.command('create <slug>'))
    .description('make an organisation')
    .option('--name <name>', 'its name for people (default: the slug)')
    .action(
      run(async ({ api }, slug: string, { name = slug, ...roots }: RootOptions & { name?: string }) =>
        shown(await api.post(ORGANISATIONS, { slug, name, ...rootsIn(roots) }, Organisation)),
      ),
    )
  organisation
    .command('list')
    .description('list the organisations')
    .action(
      run(async ({ api }) => {
        const organisations = await api.list(ORGANISATIONS, {}, Organisation)
        const rows = organisations.map((one) => [one.slug, one.name, rootText(one), one.uuid])
        return { document: organisations, lines: table(['SLUG', 'NAME', 'MEDIA ROOTS', 'UUID'], rows) }
      }),
    )
  withRoots(organisation.command('update <organisation>'))
    .description('change one')
    .option('--slug <slug>')
    .option('--name <name>')
    .option('--no-media-roots', 'its own admins may register no folder')
    .action(
      run(
        async (
          { api },
          given: string,
          { slug, name, mediaRoots, ...roots }: RootOptions & { slug?: string; name?: string; mediaRoots?: boolean },
        ) => {
          const changes = {
            ...(slug === undefined ? {} : { slug }),
            ...(name === undefined ? {} : { name }),
            ...(mediaRoots === false ? { media_roots: [] } : rootsIn(roots)),
          }
          if (Object.keys(changes).length === 0)
            throw new CofferError('USAGE_INVALID', 'nothing to change: give --slug, --name or media roots')
          const { uuid } = await findOrganisation(api, given)
          return shown(await api.patch(`${ORGANISATIONS}${uuid}/`, changes, Organisation))
        },
      ),
    )
}

const withRoots = (command: Command) =>
  command
    .option('--media-root <folder>', 'its own admins may register folders under this one; may be repeated', collect)
    .option('--all-media-roots', 'they may register folders wherever the operator allows')

function rootsIn({ mediaRoot, allMediaRoots }: RootOptions): { media_roots?: string[] | null } {
  if (allMediaRoots === true) return { media_roots: null }
  return mediaRoot === undefined ? {} : { media_roots: mediaRoot }
}

const rootText = ({ media_roots: roots }: Organisation) => (roots === null ? 'all' : roots.join(', ') || 'none')

function shown(organisation: Organisation): Result {
  const { slug, name, uuid } = organisation
  return { document: organisation, lines: fields({ slug, name, 'media roots': rootText(organisation), uuid }) }
}
