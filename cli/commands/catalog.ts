import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import type { Context, Runner } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { BACKUPS, environmentNames } from '../names.ts'
import type { Result } from '../output.ts'
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

async function check({ api, output }: Context): Promise<Result> {
  const checks: { store: StoreEntry; report: StoreCheck }[] = []
  for (const store of await api.list(STORES, {}, StoreEntry)) {
    output.note(`looking through ${store.name} (${store.url})`)
    checks.push({ store, report: await api.post(`${STORES}${store.uuid}/check/`, {}, StoreCheck, CHECK_TIMEOUT_MS) })
  }
  return {
    document: checks.map(({ report }) => report),
    lines: checks.flatMap(({ store, report }) => checkLines(store.name, report)),
    exit: checks.some(({ report }) => report.lost.length > 0) ? EXIT.failed : EXIT.done,
  }
}

async function rebuild({ api, output }: Context, { store: name }: { store?: string }): Promise<Result> {
  const stores = (await api.list(STORES, {}, StoreEntry)).filter((store) => name === undefined || store.name === name)
  if (stores.length === 0) throw new CofferError('NOT_FOUND', `there is no store ${name ?? ''}`)
  const reports: { store: StoreEntry; report: StoreRebuild }[] = []
  for (const store of stores) {
    output.note(`looking through ${store.name} (${store.url})`)
    const report = await api.post('/apps/v3/catalog/rebuild/', { store: store.uuid }, StoreRebuild, CHECK_TIMEOUT_MS)
    reports.push({ store, report })
  }
  const names = await environmentNames(api, await api.list('/apps/v3/environments/', {}, Environment))
  const isWhole = reports.every(
    ({ report }) => report.lost.length + report.unverified_count + report.rejected_count === 0,
  )
  return {
    document: reports.map(({ report }) => report),
    lines: reports.flatMap(({ store, report }) => rebuildLines(store.name, report, names)),
    exit: isWhole ? EXIT.done : EXIT.partial,
  }
}

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
