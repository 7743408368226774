import type { Command } from 'commander'
import { Option } from 'commander'
import { SINK_TYPES, WEBHOOK_FORMATS } from '../../shared/domain/notification.ts'
import { CofferError } from '../../shared/errors.ts'
import type { Context, Runner } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { environmentNames, ENVIRONMENTS, findEnvironment, findSink, SINKS } from '../names.ts'
import type { Result } from '../output.ts'
import { Environment } from '../resources/environments.ts'
import { Delivery, Event, Sink, SinkTest } from '../resources/notifications.ts'
import { fields, formatTime, table } from '../text.ts'
import { collect } from './collect.ts'
import { givenUrl, withUrl, type UrlOptions } from './url-options.ts'

interface CreateOptions extends UrlOptions {
  type: string
  format?: string
  to: string[]
  env: string[]
  kind: string[]
}

export function addNotificationCommands(program: Command, run: Runner): void {
  const notification = program
    .command('notification')
    .description('who is told of what happens: webhooks, mail, heartbeats')
  withUrl(notification.command('create <name>'), 'https://…')
    .description('make a sink; the address of a webhook or heartbeat is a secret')
    .addOption(new Option('--type <type>', 'what it is').choices(SINK_TYPES).makeOptionMandatory())
    .addOption(new Option('--format <format>', 'what a webhook is sent (coffer)').choices(WEBHOOK_FORMATS))
    .option('--to <mail>', 'a recipient of mail; may be repeated', collect, [])
    .option('--env <app/env>', 'only of this environment; may be repeated', collect, [])
    .option('--kind <kind>', 'only this kind of event; may be repeated', collect, [])
    .action(run(create))
  notification
    .command('list')
    .description('list the sinks')
    .action(
      run(async ({ api }) => {
        const sinks = await api.list(SINKS, {}, Sink)
        const rows = sinks.map((sink) => [
          sink.name,
          sink.type,
          sink.target,
          String(sink.queued),
          sink.last_error ?? '-',
          sink.uuid,
        ])
        return { document: sinks, lines: table(['NAME', 'TYPE', 'TARGET', 'WAITING', 'LAST ERROR', 'UUID'], rows) }
      }),
    )
  notification
    .command('show <sink>')
    .description('show one, by name or uuid, with what was sent to it last')
    .action(run(show))
  notification
    .command('test <sink>')
    .description('send it a test event at once')
    .action(
      run(async ({ api }, name: string) => {
        const { uuid, target } = await findSink(api, name)
        const sent = await api.post(`${SINKS}${uuid}/test/`, {}, SinkTest)
        if (sent.error === null) return { document: sent, lines: [`${target} has taken the test event ${sent.event}`] }
        const lines = [`${target} has not taken the test event: ${sent.error.message}`, `remedy: ${sent.error.remedy}`]
        return { document: sent, lines, exit: EXIT.failed }
      }),
    )
  notification
    .command('delete <sink>')
    .description('delete it; what waits for it is not sent any more')
    .action(
      run(async ({ api }, name: string) => {
        const found = await findSink(api, name)
        await api.delete(`${SINKS}${found.uuid}/`)
        return { document: found, lines: [`notification sink ${found.name} is deleted`] }
      }),
    )
}

async function create(context: Context, name: string, options: CreateOptions): Promise<Result> {
  const { api } = context
  const { type, format, to, env, kind } = options
  const { url, urlFile, urlStdin } = options
  if (type !== 'email' && to.length > 0) throw new CofferError('USAGE_INVALID', '--to is for --type email')
  if (type === 'email' && (url ?? urlFile ?? urlStdin) !== undefined)
    throw new CofferError('USAGE_INVALID', 'an address is for --type webhook or heartbeat; mail goes --to somebody')
  const address = type === 'email' ? { to } : { url: await givenUrl(context, options) }
  const environments = await Promise.all(env.map(async (one) => (await findEnvironment(api, one)).uuid))
  const body = {
    name,
    type,
    ...(format === undefined ? {} : { format }),
    ...address,
    ...(environments.length === 0 ? {} : { environments }),
    ...(kind.length === 0 ? {} : { kinds: kind }),
  }
  const sink = await api.post(SINKS, body, Sink)
  const { signing_secret: secret } = sink
  const signed = secret === undefined ? [] : [`signing secret, shown only now: ${secret}`]
  return { document: sink, lines: [...sinkLines(sink), ...signed] }
}

async function show({ api }: Context, name: string): Promise<Result> {
  const sink = await findSink(api, name)
  const deliveries = await api.list('/apps/v3/notification-deliveries/', { sink: sink.uuid }, Delivery, 20)
  const rows = deliveries.map(({ created_at: at, kind, state, tries, error }) => [
    formatTime(at),
    kind,
    state,
    String(tries),
    error ?? '-',
  ])
  return {
    document: { ...sink, deliveries },
    lines: [...sinkLines(sink), ...table(['HAPPENED', 'EVENT', 'STATE', 'TRIES', 'LAST ERROR'], rows)],
  }
}

const sinkLines = ({
  name,
  type,
  format,
  target,
  environments,
  kinds,
  queued,
  last_error: error,
  uuid,
}: Sink): string[] =>
  fields({
    name,
    type: format === null ? type : `${type} (${format})`,
    target,
    environments: environments === null ? 'all' : environments.join(', '),
    kinds: kinds === null ? 'all' : kinds.join(', '),
    waiting: String(queued),
    'last error': error ?? '-',
    uuid,
  })

export function addEventCommands(program: Command, run: Runner): void {
  program
    .command('event')
    .description('what happened')
    .command('list')
    .description('list the newest events')
    .option('--env <app/env>', 'only of this environment')
    .option('--kind <kind>', 'only of this kind')
    .option('--limit <n>', 'at most so many', '50')
    .action(
      run(async ({ api }, { env, kind, limit }: { env?: string; kind?: string; limit: string }) => {
        if (!/^[1-9]\d{0,5}$/.test(limit))
          throw new CofferError('USAGE_INVALID', '--limit must be a whole number from 1')
        const environment = env === undefined ? undefined : (await findEnvironment(api, env)).uuid
        const query = { ...(environment === undefined ? {} : { environment }), ...(kind === undefined ? {} : { kind }) }
        const events = await api.list('/apps/v3/events/', query, Event, Number(limit))
        const names = await environmentNames(api, await api.list(ENVIRONMENTS, {}, Environment))
        const rows = events.map((event) => [
          formatTime(event.at),
          event.kind,
          names.get(event.environment ?? '') ?? '-',
          event.message,
        ])
        return { document: events, lines: table(['AT', 'KIND', 'ENVIRONMENT', 'WHAT'], rows) }
      }),
    )
}
