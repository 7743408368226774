import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import type { Context, Runner } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { BACKUPS, environmentNames } from '../names.ts'
import type { Result } from '../output.ts'
import { problemLines, toProblem, type Problem } from '../problem.ts'
import { rebuildLines } from '../rebuild-report.ts'
import { Backup } from '../resources/backups.ts'
import { Environment } from '../resources/environments.ts'
import { StoreCheck, StoreEntry, StoreRebuild } from '../resources/stores.ts'
import { formatCount } from '../text.ts'

const STORES = '/apps/v3/stores/'
/** Every object is looked at before the answer comes. */
const CHECK_TIMEOUT_MS = 280_000

export function addCatalogCommands(program: Command, run: Runner): void {
  const catalog = program.command('catalog').description('the record of all backups')
  catalog
    .command('check')
    .description('compare it with the stores, both ways; ends with 1 when a store lacks backups')
    .action(run(check))
  catalog
    .command('rebuild')
    .description('add every backup of the stores that it lacks; nothing that it has is changed, and nothing is deleted')
    .option('--store <name>', 'only from this store')
    .action(run(rebuild))
  catalog
    .command('accept <backup>')
    .description('say that a backup which was found without the signature of this Coffer is genuine')
    .action(
      run(async ({ api }, uuid: string) => {
        const document = await api.post(`${BACKUPS}${encodeURIComponent(uuid)}/accept/`, {}, Backup)
        return { document, lines: [`backup ${uuid} is signed now, and counts as any other`] }
      }),
    )
}

async function check(context: Context): Promise<Result> {
  const { api } = context
  const stores = await api.list(STORES, {}, StoreEntry)
  const looked = await lookThrough(context, stores, ({ uuid }) =>
    api.post(`${STORES}${uuid}/check/`, {}, StoreCheck, CHECK_TIMEOUT_MS),
  )
  const isWhole = looked.every((one) => one.problem === undefined && one.report.lost.length === 0)
  return {
    document: looked.map(({ report, problem }) => report ?? problem),
    lines: looked.flatMap((one) => (one.problem ? failedLines(one) : checkLines(one.store.name, one.report))),
    exit: isWhole ? EXIT.done : EXIT.failed,
  }
}

async function rebuild(context: Context, { store: name }: { store?: string }): Promise<Result> {
  const { api } = context
  const stores = (await api.list(STORES, {}, StoreEntry)).filter((store) => name === undefined || store.name === name)
  if (stores.length === 0) throw new CofferError('NOT_FOUND', `there is no store ${name ?? ''}`)
  const looked = await lookThrough(context, stores, ({ uuid }) =>
    api.post('/apps/v3/catalog/rebuild/', { store: uuid }, StoreRebuild, CHECK_TIMEOUT_MS),
  )
  const names = await environmentNames(api, await api.list('/apps/v3/environments/', {}, Environment))
  const isWhole = looked.every(
    ({ report }) => !report || report.lost.length + report.unverified_count + report.rejected_count === 0,
  )
  const exit = isWhole ? EXIT.done : EXIT.partial
  return {
    document: looked.map(({ report, problem }) => report ?? problem),
    lines: looked.flatMap((one) => (one.problem ? failedLines(one) : rebuildLines(one.store.name, one.report, names))),
    exit: looked.some(({ problem }) => problem) ? EXIT.failed : exit,
  }
}

type Looked<Report> = { store: StoreEntry } & (
  { report: Report; problem?: undefined } | { problem: Problem; report?: undefined }
)

/** One store after the other. What was found in one is told, whatever becomes of the next. @throws what the first did, where all fail */
async function lookThrough<Report>(
  { api, output }: Context,
  stores: readonly StoreEntry[],
  look: (store: StoreEntry) => Promise<Report>,
): Promise<Looked<Report>[]> {
  const looked: Looked<Report>[] = []
  const failures: unknown[] = []
  for (const store of stores) {
    output.note(`looking through ${store.name} (${store.url})`)
    try {
      looked.push({ store, report: await look(store) })
    } catch (thrown) {
      api.signal.throwIfAborted()
      failures.push(thrown)
      looked.push({ store, problem: toProblem(thrown) })
    }
  }
  if (failures.length === stores.length && failures.length > 0) throw failures[0]
  return looked
}

const failedLines = ({ store, problem }: { store: StoreEntry; problem: Problem }): string[] => [
  `${store.name}: was not looked through`,
  ...problemLines(problem).map((line) => `  ${line}`),
]

function checkLines(name: string, { objects, backups, lost, found, ...report }: StoreCheck): string[] {
  const { unowned, unowned_count: count } = report
  const rest = count - unowned.length
  return [
    `${name}: ${formatCount(objects, 'object')}, ${formatCount(backups, 'service-instance backup')}`,
    ...lost.flatMap(({ service_instance_backup: id, missing }) => [
      `  lost: ${id}`,
      ...missing.map((key) => `    missing: ${key}`),
    ]),
    ...found.map((id) => `  found again: ${id}`),
    ...unowned.map((key) => `  nobody's: ${key}`),
    ...(rest > 0 ? [`  nobody's: ${formatCount(rest, 'more object')}`] : []),
    ...(lost.length + count === 0 ? ['  the catalog and the store agree'] : []),
  ]
}
