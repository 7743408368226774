import { readdirSync, renameSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openDataFolder, reachableFolder, serverUser, testFallbacks, upFallbacks } from './folders.ts'
import { stopPrivatePostgres } from './private-postgres.ts'
import { stopPrivateRedis } from './private-redis.ts'
import type { ServerPlace } from './private-server.ts'
import { isRunning, markProcess } from './processes.ts'
import { readServerSettings, updateServerSettings } from './run-record.ts'

type PlaceRequest = { mode: 'up' | 'test'; dataDir: string; log: (line: string) => void }
export type OpenServerPlace = ServerPlace & { close(): Promise<void> }

/** The folder of the private servers of `up`: it stays the same for a data folder, once chosen. */
export async function openServerPlace({ mode, dataDir, log }: PlaceRequest): Promise<OpenServerPlace> {
  const user = serverUser()
  if (mode === 'test') return openTestPlace(reachableFolder(dataDir, testFallbacks(), user, log), user, log)
  openDataFolder(dataDir)
  const chosen = readServerSettings(dataDir).folder
  const folder = chosen ?? reachableFolder(dataDir, upFallbacks(dataDir), user, log)
  updateServerSettings(dataDir, { folder })
  return { dataDir, folder, user, disposable: false, log, close: () => Promise.resolve() }
}

/** A folder of this run alone, named after this process so that a later run knows whether it may be cleared away. */
async function openTestPlace(
  root: string,
  user: ServerPlace['user'],
  log: ServerPlace['log'],
): Promise<OpenServerPlace> {
  await clearDeadRuns(root)
  const folder = join(root, runName())
  openDataFolder(folder)
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true })
  return { dataDir: folder, folder, user, disposable: true, log, close }
}

/** Ends and removes what test runs left that were killed: only those of this root whose own process is gone. */
export async function clearDeadRuns(root: string): Promise<void> {
  for (const name of readdirSync(root)) {
    const [, pid, startedAt] = /^(\d+)@([^@]+)/.exec(name) ?? []
    if (pid === undefined || startedAt === undefined || isRunning({ pid: Number(pid), startedAt })) continue
    const claimed = join(root, `${runName()}@clears-${pid}`)
    // Of two runs that start at once, the rename lets one have it.
    if (!renamed(join(root, name), claimed)) continue
    const left = { dataDir: claimed, disposable: true }
    await stopPrivateRedis(left)
    await stopPrivatePostgres(left)
    rmSync(claimed, { recursive: true, force: true })
  }
}

function runName(): string {
  return `${process.pid}@${markProcess(process.pid)?.startedAt ?? ''}`
}

function renamed(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch {
    return false
  }
}
