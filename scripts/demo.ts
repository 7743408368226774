import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { styleText } from 'node:util'
import { coffer, type CofferCommand } from './demo/coffer-command.ts'
import { borrowUp } from './demo/borrow-up.ts'
import { createSampleDatabase } from './demo/sample-database.ts'
import { makeSampleMedia, spoilSampleMedia } from './demo/sample-media.ts'
import { compare, take, type Fingerprint } from './demo/fingerprint.ts'
import { demoServerUrl } from './demo/server-url.ts'

const CHECKOUT = join(import.meta.dirname, '..')
const say = (text: string) => process.stdout.write(`\n${styleText('bold', text, { stream: process.stdout })}\n`)

/** A sample application, backed up, broken and restored in place, with the proof. Everything it makes is its own, and goes at the end but the backup. */
async function demo(env: NodeJS.ProcessEnv): Promise<boolean> {
  const dataDir = resolve(env.COFFER_DATA_DIR ?? join(CHECKOUT, '.coffer'))
  await using scope = new AsyncDisposableStack()
  scope.use(await borrowUp(CHECKOUT, dataDir, env))
  // Whatever Coffer the caller's variables name, the demo is of the one here.
  const local = { COFFER_DATA_DIR: dataDir, COFFER_URL: '', COFFER_TOKEN: env.COFFER_ADMIN_TOKEN ?? '' }
  const command = coffer(CHECKOUT, { ...env, ...local })
  const app = `demo-${randomBytes(3).toString('hex')}`

  say(`1. A sample application, ${app}: a database and a folder of media`)
  const database = await createSampleDatabase(demoServerUrl(dataDir, env), app)
  scope.defer(() => database.drop())
  const root = (env.COFFER_MEDIA_ROOTS ?? '').split(',')[0]?.trim() || join(dataDir, 'media')
  const media = join(root, app)
  await makeSampleMedia(media)
  scope.defer(() => rm(media, { recursive: true, force: true }))
  const before = await take(database.url, media)
  show(before)
  await register(command, app, database.url, media)

  say('2. Backed up')
  const backup = await backUp(command, app)

  say('3. Broken: a deployment has rewritten rows, added tables, and deleted and replaced files')
  await database.spoil()
  await spoilSampleMedia(media)
  show(await take(database.url, media))

  say('4. Restored over it, in place: what is there is backed up first')
  await command(['restore', backup, '--to', `${app}/live`, '--confirm', `${app}/live`, '--wait'])
  const [restore] = JSON.parse(await command(['--json', 'restore', 'list', `${app}/live`])) as { uuid: string }[]

  say('5. The proof')
  const isEqual = prove(before, await take(database.url, media))
  if (isEqual) await command(['restore', 'confirm', restore?.uuid ?? '', '--wait'])
  return isEqual
}

async function register(command: CofferCommand, app: string, databaseUrl: string, media: string): Promise<void> {
  await command(['app', 'create', app])
  await command(['environment', 'create', `${app}/live`])
  for (const [type, url] of [
    ['DATABASE', databaseUrl],
    ['STORAGE', pathToFileURL(media).href],
  ] as const)
    await command(['service', 'create', `${app}/live`, '--type', type, '--url-stdin'], url)
}

async function backUp(command: CofferCommand, app: string): Promise<string> {
  await command(['backup', 'create', `${app}/live`, '--notes', 'npm run demo', '--wait'])
  const [newest] = JSON.parse(await command(['--json', 'backup', 'list', `${app}/live`])) as { uuid: string }[]
  if (!newest) throw new Error(`the backup of ${app}/live is not listed`)
  return newest.uuid
}

function show({ tables, files }: Fingerprint): void {
  for (const [name, { rows }] of tables) process.stdout.write(`   ${name}: ${rows} rows\n`)
  process.stdout.write(`   ${files.size} files\n`)
}

function prove(before: Fingerprint, after: Fingerprint): boolean {
  const { lines, isEqual } = compare(before, after)
  process.stdout.write(lines.map((line) => `   ${line}\n`).join(''))
  say(isEqual ? 'Everything is back: rows and files are what they were.' : 'NOT EQUAL: see above.')
  return isEqual
}

try {
  process.exitCode = (await demo(process.env)) ? 0 : 1
} catch (error) {
  process.stderr.write(`demo: ${(error as Error).message}\n`)
  process.exitCode = 1
}
