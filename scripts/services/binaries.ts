import { execFileSync } from 'node:child_process'
import { accessSync, constants, readdirSync, realpathSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

export interface PostgresBinaries {
  major: number
  folder: string
}

export interface RedisBinary {
  path: string
  /** The name that it must be called by: Debian's redis-tools holds the server under another name. */
  name: string
}

export function findOnPath(program: string, env: NodeJS.ProcessEnv): string | null {
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin']
  return (
    folders
      .filter((folder) => folder !== '')
      .map((folder) => join(folder, program))
      .find(isExecutable) ?? null
  )
}

/** Folders with PostgreSQL's client programs, newest major first, each once. */
export function pgBinFolders(env: NodeJS.ProcessEnv): PostgresBinaries[] {
  const onPath = [findOnPath('postgres', env), findOnPath('pg_dump', env)]
    .filter((path) => path !== null)
    .map((path) => dirname(realpathSync(path)))
  const packaged = ['/usr/lib/postgresql', '/opt/homebrew/opt'].flatMap(binFoldersBelow)
  return [...new Set([...onPath, ...packaged])]
    .filter((folder) => isExecutable(join(folder, 'pg_dump')))
    .map((folder) => ({ folder, major: majorOf(folder) }))
    .sort((a, b) => b.major - a.major)
}

/** Programs of one PostgreSQL that can make and run a cluster: of the given major, else the newest. */
export function findPostgres(env: NodeJS.ProcessEnv, major?: number): PostgresBinaries | null {
  const complete = pgBinFolders(env).filter(({ folder }) =>
    ['initdb', 'postgres'].every((program) => isExecutable(join(folder, program))),
  )
  return complete.find((found) => major === undefined || found.major === major) ?? null
}

export function findRedis(env: NodeJS.ProcessEnv): RedisBinary | null {
  for (const name of ['redis-server', 'valkey-server']) {
    const path = findOnPath(name, env) ?? findOnPath(name.replace('server', 'check-rdb'), env)
    if (path !== null) return { path, name }
  }
  return null
}

function binFoldersBelow(root: string): string[] {
  try {
    return readdirSync(root).map((entry) => join(root, entry, 'bin'))
  } catch {
    return []
  }
}

function majorOf(folder: string): number {
  const answer = execFileSync(join(folder, 'pg_dump'), ['--version'], { encoding: 'utf8' })
  return Number(/ (\d+)/.exec(answer)?.[1])
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
