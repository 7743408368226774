import { Option, type Command } from 'commander'
import type { Context, Runner } from '../context.ts'
import { parseDuration } from '../duration.ts'
import { EXIT } from '../exit-codes.ts'
import { endedText } from '../backup-progress.ts'
import { readBackup } from '../backup-report.ts'
import { fetchAll, planBundle, planOutput, prepareDownload } from '../download.ts'
import type { Planned, PlannedBundle } from '../download.ts'
import { pickServiceBackups } from '../names.ts'
import type { Result } from '../output.ts'
import { openProgress } from '../progress.ts'
import { deadline } from '../waiting.ts'
import { collect } from './collect.ts'

interface DownloadOptions {
  service?: string[]
  stored?: boolean
  bundle?: boolean
  output: string
  timeout?: number
}

/** `backup download`, and the same as `download`. */
export function addDownloadCommand(parent: Command, run: Runner): void {
  parent
    .command('download <backup>')
    .description('fetch a backup in plain formats (pg_restore, tar), size and SHA-256 checked')
    .option('--service <service>', 'only this one (PREFIX or TYPE:PREFIX); may be repeated', collect)
    .option('--stored', 'the stored objects as they are: compressed and encrypted')
    .addOption(
      new Option('--bundle', 'everything in one zip, with its manifests and the page on recovery').conflicts('stored'),
    )
    .option('-o, --output <path>', 'a folder, a file for a single one, or - for stdout', '.')
    .option('--timeout <duration>', 'give up after, for example, 2h', parseDuration)
    .action(run(download))
}

async function download(context: Context, uuid: string, options: DownloadOptions): Promise<Result> {
  using limit = deadline(options.timeout, `the download of backup ${uuid}`)
  const api = context.api.until(limit.signal)
  const { services } = await readBackup(api, uuid)
  const wanted = pickServiceBackups(services, options.service ?? [], `backup ${uuid}`)
  const { items, bundle } = await prepareDownload({ ...context, api }, uuid, options.service ? wanted : [])
  const plan =
    options.bundle === true
      ? [await planBundle(bundle, uuid, options.output, context.cwd)]
      : await planOutput(items, options.stored === true ? 'stored' : 'plain', options.output, context.cwd)
  using display = openProgress(context.output, context.now)
  await fetchAll(plan, { ...context, api }, display)
  const missing = wanted.filter(({ uuid: id }) => !items.some((item) => item.service_instance_backup === id))
  return {
    document: { files: plan.map(describe), missing: missing.map((service) => service.uuid) },
    lines: [
      ...plan.map(({ path, sha256 }) => `${path ?? 'stdout'}${sha256 === null ? '' : `  sha256 ${sha256}`}`),
      ...missing.map((service) => `missing: ${service.service_type} ${service.prefix}: ${endedText(service)}`),
    ],
    exit: missing.length === 0 ? EXIT.done : EXIT.partial,
    stdoutTaken: options.output === '-',
  }
}

function describe(planned: Planned | PlannedBundle) {
  const { path, name, size, sha256 } = planned
  if (!('item' in planned)) return { path, name, size, sha256, artifact: 'bundle' }
  const { artifact, service_instance_backup: backup } = planned.item
  return { path, name, size, sha256, artifact, service_instance_backup: backup }
}
