import { chownSync } from 'node:fs'
import { join } from 'node:path'
import { CofferError } from '../../shared/errors.ts'
import type { RedisBinary } from './binaries.ts'
import { ownFolder } from './folders.ts'
import {
  endRecordedServer,
  freePort,
  launch,
  logTail,
  newPassword,
  portForRetry,
  recordServer,
  reviveServer,
  type RunningServer,
  type ServerPlace,
} from './private-server.ts'
import { markProcess } from './processes.ts'
import { withRedis } from './redis-session.ts'
import { readServerSettings, updateServerSettings, writePrivateFile, type ServerSettings } from './run-record.ts'

type RedisSettings = NonNullable<ServerSettings['redis']>

const START_ATTEMPTS = 5

/** Adopts the private Redis of this place when it still runs, else starts it on its old data. */
export async function startPrivateRedis(place: ServerPlace, binary: RedisBinary): Promise<RunningServer> {
  let settings = readServerSettings(place.dataDir).redis ?? { password: newPassword(), port: await freePort() }
  updateServerSettings(place.dataDir, { redis: settings })
  if (!(await adopt(place, settings))) {
    // What is recorded and does not answer hangs: it gets no time to say goodbye.
    await stopPrivateRedis({ ...place, disposable: true })
    for (let attempt = 1; !(await start(place, binary, settings)); attempt++) {
      if (attempt === START_ATTEMPTS) throw startFailed(place)
      settings = { ...settings, port: await portForRetry(settings.port) }
      updateServerSettings(place.dataDir, { redis: settings })
    }
  }
  const url = urlOf(settings)
  return {
    url,
    stop: () => stopPrivateRedis(place),
    revive: () => reviveServer(place, 'redis', url, () => startPrivateRedis(place, binary)),
  }
}

export function stopPrivateRedis(place: Pick<ServerPlace, 'dataDir' | 'disposable'>): Promise<void> {
  const hard: [NodeJS.Signals, number] = ['SIGKILL', 5_000]
  return endRecordedServer(place.dataDir, 'redis', place.disposable ? [hard] : [['SIGTERM', 10_000], hard])
}

async function adopt(place: ServerPlace, settings: RedisSettings): Promise<boolean> {
  const pid = await pidAt(settings)
  const mark = pid === null ? null : markProcess(pid)
  if (mark === null) return false
  recordServer(place, 'redis', mark)
  place.log(`Redis still runs on port ${settings.port}: adopted`)
  return true
}

async function start(place: ServerPlace, binary: RedisBinary, settings: RedisSettings): Promise<boolean> {
  const folder = ownFolder(join(place.folder, 'redis'), place.user)
  // A file, not arguments: those of a process can be read by everybody on the machine.
  const configFile = join(folder, 'redis.conf')
  const persistence = place.disposable ? ['appendonly no', 'save ""'] : ['appendonly yes']
  const config = [
    'bind 127.0.0.1',
    `port ${settings.port}`,
    `requirepass ${settings.password}`,
    `dir ${JSON.stringify(folder)}`,
    'maxmemory-policy noeviction',
    ...persistence,
  ]
  writePrivateFile(configFile, config.join('\n'))
  if (place.user) chownSync(configFile, place.user.uid, place.user.gid)
  const mark = await launch({
    command: binary.path,
    argv0: binary.name,
    args: [configFile],
    user: place.user,
    logFile: logFileOf(place),
    record: (started) => recordServer(place, 'redis', started),
    answers: async () => (await pidAt(settings)) !== null,
  })
  return mark !== null
}

/** The pid of the Redis behind the port; null when none answers (also: while it loads its data), or not to our password. */
async function pidAt(settings: RedisSettings): Promise<number | null> {
  try {
    const info = await withRedis(urlOf(settings), (redis) => redis.info('server'))
    const pid = /^process_id:(\d+)/m.exec(info)?.[1]
    return pid === undefined ? null : Number(pid)
  } catch {
    return null
  }
}

function urlOf(settings: RedisSettings): string {
  return `redis://:${settings.password}@127.0.0.1:${settings.port}/0`
}

function logFileOf(place: ServerPlace): string {
  return join(place.folder, 'redis.log')
}

function startFailed(place: ServerPlace): CofferError {
  return new CofferError('CONFIG_INVALID', `the private Redis did not start: ${logTail(logFileOf(place))}`)
}
