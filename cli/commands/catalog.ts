import type { Command } from 'commander'
import type { Context, Runner } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { Result } from '../output.ts'
import { StoreCheck, StoreEntry } from '../resources.ts'
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
