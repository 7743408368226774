import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

const ProcessMark = z.object({ pid: z.number(), startedAt: z.string() })

/** What runs now, for the next start (which adopts or replaces it) and for the `coffer` command. */
const RunRecord = z.object({
  url: z.string().optional(),
  processes: z.record(z.string(), ProcessMark).default({}),
})
export type RunRecord = z.infer<typeof RunRecord>

/** What the private servers keep between runs. Holds their passwords. */
const ServerSettings = z.object({
  folder: z.string().optional(),
  postgres: z
    .object({
      password: z.string(),
      ownerPassword: z.string(),
      /** Absent in what was made before there were drills. */
      drillPassword: z.string().optional(),
      port: z.number(),
    })
    .optional(),
  redis: z.object({ password: z.string(), port: z.number() }).optional(),
  dockerPassword: z.string().optional(),
})
export type ServerSettings = z.infer<typeof ServerSettings>

export function readRunRecord(dataDir: string): RunRecord {
  return RunRecord.parse(readJson(join(dataDir, 'run.json')))
}

export function updateRunRecord(dataDir: string, change: (record: RunRecord) => RunRecord): void {
  writePrivateFile(join(dataDir, 'run.json'), JSON.stringify(change(readRunRecord(dataDir)), null, 2))
}

export function removeRunRecord(dataDir: string): void {
  rmSync(join(dataDir, 'run.json'), { force: true })
}

export function readServerSettings(dataDir: string): ServerSettings {
  return ServerSettings.parse(readJson(join(dataDir, 'servers.json')))
}

export function updateServerSettings(dataDir: string, settings: ServerSettings): void {
  const merged = { ...readServerSettings(dataDir), ...settings }
  writePrivateFile(join(dataDir, 'servers.json'), JSON.stringify(merged, null, 2))
}

/** Replaces the file in one step, readable by its owner only. */
export function writePrivateFile(path: string, content: string): void {
  const temporary = `${path}.new`
  rmSync(temporary, { force: true })
  writeFileSync(temporary, `${content}\n`, { mode: 0o600, flush: true })
  renameSync(temporary, path)
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}
