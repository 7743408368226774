// node scripts/bootstrap.js <script.ts> [arguments]: installs what package-lock.json says, unless it is, then runs the script.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, mkdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { checkout, ownNode, run, runOwnNode } from './own-node.js'

const LOCK = join(checkout, '.coffer-install')
const LOCK_BEAT_MS = 1_000
const LOCK_LAPSE_MS = 10_000

const [script, ...args] = process.argv.slice(2)
if (script === undefined) fail('usage: node scripts/bootstrap.js <script.ts> [arguments]', 2)
if (!isInstalled()) await withLock(install)
process.exitCode = await runOwnNode(script, args)

/** npm writes its record of node_modules last: one that names every package is that of a finished installation. */
function isInstalled() {
  try {
    const wanted = JSON.parse(readFileSync(join(checkout, 'package-lock.json'), 'utf8')).packages
    const present = JSON.parse(readFileSync(join(checkout, 'node_modules/.package-lock.json'), 'utf8')).packages
    accessSync(ownNode, constants.X_OK)
    return Object.entries(wanted).every(
      ([path, { version, optional, devOptional }]) =>
        path === '' || (present[path] === undefined ? optional || devOptional : present[path].version === version),
    )
  } catch {
    return false
  }
}

async function install() {
  if (isInstalled()) return
  console.error('Installing the dependencies (npm ci) ...')
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm']
  const [command, ...prefix] = npm
  const status = await run(command, [...prefix, 'ci', '--include=dev', '--no-audit', '--no-fund', '--prefix', checkout])
  if (status > 128) process.exit(status)
  if (status !== 0) fail(`npm ci ended with ${status}; its own message is above`)
  const { status: answer } = spawnSync(ownNode, ['--version'], { stdio: 'ignore' })
  if (answer !== 0)
    fail('npm ci left no working node: if npm ignores scripts, run: npm rebuild node --ignore-scripts=false')
}

/** Lets one process at a time install. The holder touches the lock; one that is not touched any more was left by a kill. */
async function withLock(work) {
  try {
    accessSync(checkout, constants.W_OK)
  } catch {
    fail(`cannot install into ${checkout}: it is not writable for this user; run this as its owner, or own a clone`)
  }
  for (let waited = false; !tryLock(); waited = true) {
    if (!waited) console.error('Waiting for another installation in this checkout ...')
    await delay(LOCK_BEAT_MS / 2)
  }
  const beat = setInterval(() => utimesSync(LOCK, new Date(), new Date()), LOCK_BEAT_MS)
  process.once('exit', () => rmSync(LOCK, { recursive: true, force: true }))
  await work()
  clearInterval(beat)
  rmSync(LOCK, { recursive: true, force: true })
}

function tryLock() {
  try {
    mkdirSync(LOCK)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    const lapsed = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > LOCK_LAPSE_MS
    if (lapsed) rmSync(LOCK, { recursive: true, force: true })
    return false
  }
}

function fail(message, status = 1) {
  console.error(message)
  process.exit(status)
}
