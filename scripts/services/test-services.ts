import { join } from 'node:path'
import { ensurePrograms, ensureServices, type Services } from './ensure-services.ts'

/** The servers and programs that a run of the tests needs. */
export async function ensureTestServices(env: NodeJS.ProcessEnv): Promise<Services> {
  const log = (line: string): void => console.error(line)
  await ensurePrograms(['age', 'zstd', 'tar'], { env, log })
  return ensureServices({ mode: 'test', dataDir: join(import.meta.dirname, '../../.coffer-test'), env, log })
}
