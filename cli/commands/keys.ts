import { open, readFile, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import { parseIdentities, recipientsOf } from '../../shared/identities.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import type { Context, Runner } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { Result } from '../output.ts'
import { problemLines, ProducerProblem, toProblem } from '../problem.ts'
import { recoveryPage } from '../recovery-page.ts'
import { Key, KeyList, KeyBackup } from '../resources/keys.ts'
import { fields, formatCount, formatTime, table } from '../text.ts'

const KEYS = '/apps/v3/keys/'
const NEWEST_SHOWN = 20

interface InitOptions {
  name: string
  page?: string
  yes?: true
}

export function addKeysCommands(program: Command, run: Runner): void {
  const keys = program.command('keys').description('whom backups are encrypted for')
  keys
    .command('init')
    .description('make a recovery key on this computer, show it once, and let every new backup be readable with it')
    .option('--name <name>', 'what it is called in the list', 'recovery')
    .option('--page <file>', 'write the page to print there, instead of to the terminal')
    .option('--yes', 'also where the servers hold no key at all, and so would open no new backup')
    .action(run(init))
  keys.command('list').description('the public keys in use and retired, and what each can read').action(run(list))
  keys
    .command('retire <recipient>')
    .description('encrypt new backups for it no more; those that are stay readable with it')
    .option('--yes', 'also when no server could open new backups then')
    .action(run(retire))
  keys
    .command('check <identity-file>')
    .description('which backups a private key opens; it stays on this computer, only its public key is sent')
    .action(run(check))
}

/** Nothing but this process ever holds the identity: it goes to the page or to stdout, once, and its public half to the API. */
async function init({ api, output, cwd }: Context, { name, page, yes }: InitOptions): Promise<Result> {
  const { identity, recipient } = await generateIdentity()
  const lines = recoveryPage({ identity, recipient, name, createdAt: new Date() })
  const file = page === undefined ? null : resolve(cwd, page)
  if (file !== null) await writePage(file, lines)
  let key: Key
  try {
    key = await api.post(KEYS, { recipient, name, accept_unreadable: yes === true }, Key)
  } catch (error) {
    if (isRefused(error)) {
      // A page that nothing was registered for would be trusted one day.
      if (file !== null) await rm(file, { force: true })
      throw error
    }
    return perhapsRegistered(error, { identity, recipient, file, lines })
  }
  if (file !== null) {
    const written = `the key is on ${file}, and nowhere else: print it, put it in a safe, and delete the file`
    return { document: { ...key, page: file }, lines: [...describe(key), written] }
  }
  output.note('the key is shown this once, and kept nowhere: print it, and put it in a safe')
  return { document: { ...key, identity, page: lines.join('\n') }, lines }
}

/** The answer may be all that was lost: then backups are encrypted for a key that only this process knows. */
function perhapsRegistered(
  error: unknown,
  { identity, recipient, file, lines }: { identity: string; recipient: string; file: string | null; lines: string[] },
): Result {
  const problem = toProblem(error)
  const page = file === null ? { identity, page: lines.join('\n') } : { page: file }
  const unknown = `whether the key was registered is not known: keep ${file ?? 'this page'} until "coffer keys list" shows no ${recipient}`
  return {
    document: { recipient, registered: null, ...page, problem },
    lines: [...(file === null ? lines : []), ...problemLines(problem), unknown],
    exit: EXIT.failed,
  }
}

/** The producer has answered, and that it did nothing. */
const isRefused = (error: unknown): boolean => error instanceof ProducerProblem && error.problem.status < 500

async function writePage(file: string, lines: readonly string[]): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(`${lines.join('\n')}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
    if (exists) throw new CofferError('OUTPUT_EXISTS', `${file} exists already`, { cause })
    throw new CofferError('OUTPUT_FAILED', `cannot write ${file}`, { cause })
  }
}

async function list({ api }: Context): Promise<Result> {
  const { unreadable_backups: unreadable } = await api.get(`${KEYS}?page_size=1`, KeyList)
  const keys = await api.list(KEYS, {}, Key)
  const rows = keys.map((key) => [
    key.recipient,
    key.name ?? (key.in_use ? 'of the environment' : 'unknown'),
    stateOf(key),
    key.opened_by.join(', ') || 'none',
    String(key.backups),
  ])
  const nothing = `${formatCount(unreadable, 'service-instance backup')} can be opened by no key that a server holds`
  return {
    document: { keys, unreadable_backups: unreadable },
    lines: [
      ...table(['PUBLIC KEY', 'NAME', 'STATE', 'HELD BY', 'BACKUPS'], rows),
      ...(unreadable > 0 ? [nothing] : []),
      ...(keys.length === 0 ? ['nothing is encrypted: no recipient is named'] : []),
    ],
  }
}

function stateOf({ in_use, retired_at }: Key): string {
  if (in_use) return 'in use'
  return retired_at === null ? 'not in use' : `retired ${formatTime(retired_at)}`
}

async function retire({ api }: Context, recipient: string, { yes }: { yes?: true }): Promise<Result> {
  const path = `${KEYS}${encodeURIComponent(recipient)}/retire/`
  const key = await api.post(path, { accept_unreadable: yes === true }, Key)
  return { document: key, lines: describe(key) }
}

const describe = (key: Key) =>
  fields({
    'public key': key.recipient,
    name: key.name ?? '-',
    state: stateOf(key),
    'held by': key.opened_by.join(', ') || 'none of the servers',
    opens: formatCount(key.backups, 'service-instance backup'),
  })

async function check({ api, cwd }: Context, file: string): Promise<Result> {
  const text = await readFile(resolve(cwd, file), 'utf8').catch((cause: unknown) => {
    throw new CofferError('USAGE_INVALID', `cannot read ${file}`, { cause })
  })
  const recipients = await recipientsOf(await parseIdentities(text, file))
  const found = await Promise.all(
    recipients.map(async (recipient) => ({
      recipient,
      backups: await readableBy(api, recipient),
    })),
  )
  return {
    document: found,
    lines: found.flatMap(({ recipient, backups }) => [
      `${recipient} opens ${formatCount(backups.length, 'service-instance backup')}`,
      ...newest(backups),
    ]),
    exit: found.every(({ backups }) => backups.length === 0) ? EXIT.failed : EXIT.done,
  }
}

/** A key that the producer has never heard of opens nothing. */
const readableBy = (api: Context['api'], recipient: string): Promise<KeyBackup[]> =>
  api.list(`${KEYS}${encodeURIComponent(recipient)}/backups/`, {}, KeyBackup).catch((error: unknown) => {
    if (error instanceof ProducerProblem && error.problem.code === 'NOT_FOUND') return []
    throw error
  })

function newest(backups: readonly KeyBackup[]): string[] {
  if (backups.length === 0) return []
  const rows = backups
    .slice(0, NEWEST_SHOWN)
    .map((found) => [
      formatTime(found.created_at),
      `${found.application}/${found.environment}`,
      `${found.service_type} ${found.prefix}`,
      found.backup,
    ])
  const rest = backups.length - rows.length
  const lines = table(['TAKEN', 'ENVIRONMENT', 'SERVICE', 'BACKUP'], rows)
  return rest > 0 ? [...lines, `and ${formatCount(rest, 'older one')}`] : lines
}
