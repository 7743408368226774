import type { Command } from 'commander'
import type { Context, Runner } from '../context.ts'
import { parseDuration } from '../duration.ts'
import { EXIT } from '../exit-codes.ts'
import { errorLines, readBackup } from '../backup-report.ts'
import { fetchAll, planOutput, prepareDownload } from '../download.ts'
import { pickServiceBackups } from '../names.ts'
import type { Result } from '../output.ts'
import { openProgress } from '../progress.ts'
import { deadline } from '../waiting.ts'
import { collect } from './collect.ts'

interface DownloadOptions {
  service?: string[]
  stored?: boolean
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
    .option('-o, --output <path>', 'a folder, a file for a single one, or - for stdout', '.')
    .option('--timeout <duration>', 'give up after, for example, 2h', parseDuration)
    .action(run(download))
}

async function download(context: Context, uuid: string, options: DownloadOptions): Promise<Result> {
  using limit = deadline(options.timeout, `the download of backup ${uuid}`)
  const api = context.api.until(limit.signal)
  const { services } = await readBackup(api, uuid)
  const wanted = pickServiceBackups(services, options.service ?? [], `backup ${uuid}`)
  const items = await prepareDownload({ ...context, api }, uuid, options.service ? wanted : [])
  const failed = items.filter(({ errors }) => errors && errors.length > 0)
  const good = items.filter((item) => !failed.includes(item))
  const plan = await planOutput(
    { items: good, backups: services, form: options.stored === true ? 'stored' : 'plain' },
    options.output,
    context.cwd,
  )
  using display = openProgress(context.output, context.now)
  await fetchAll(plan, { ...context, api }, display)
  return {
    document: {
      files: plan.map(({ path, name, size, sha256, item }) => ({
        path: path ?? '-',
        name,
        size,
        sha256,
        service_instance_backup: item.service_instance_backup,
        artifact: item.artifact,
      })),
      failed,
    },
    lines: [
      ...plan.map(({ path, sha256 }) => `${path ?? 'stdout'}  sha256 ${sha256}`),
      ...failed.flatMap((item) => [`${item.filename}:`, ...(item.errors ?? []).flatMap(errorLines)]),
    ],
    exit: failed.length === 0 ? EXIT.done : plan.length > 0 ? EXIT.partial : EXIT.failed,
    stdoutTaken: options.output === '-',
  }
}
