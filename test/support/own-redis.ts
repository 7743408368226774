import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { Redis } from 'ioredis'
import { findRedis } from '../../scripts/services/binaries.ts'
import { freePort } from '../../scripts/services/private-server.ts'
import { until } from './until.ts'

/** A Redis of one test alone, to be ended, frozen and filled. It is empty after every start. */
export interface OwnRedis extends AsyncDisposable {
  readonly url: string
  stop(): Promise<void>
  /** At the same address. */
  start(): Promise<void>
  freeze(): void
  thaw(): void
  /** From now on it refuses everything that would take memory, or no longer. */
  setFull(isFull: boolean): Promise<void>
}

export async function startOwnRedis(): Promise<OwnRedis> {
  const binary = findRedis(process.env)
  if (binary === null) throw new Error('this machine has no Redis of its own to start')
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}/0`
  let child: ChildProcess | null = null
  const ask = async <T>(work: (redis: Redis) => Promise<T>): Promise<T> => {
    const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null })
    redis.on('error', () => undefined)
    try {
      await redis.connect()
      return await work(redis)
    } finally {
      redis.disconnect()
    }
  }
  const own: OwnRedis = {
    url,
    async start() {
      const args = [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        'no',
        '--dir',
        tmpdir(),
      ]
      child = spawn(binary.path, args, { argv0: binary.name, stdio: 'ignore' })
      await until(() => ask((redis) => redis.ping()).catch(() => null))
    },
    async stop() {
      if (child === null || child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async setFull(isFull) {
      await ask((redis) => redis.config('SET', 'maxmemory', isFull ? '1' : '0'))
    },
    [Symbol.asyncDispose]: () => own.stop(),
  }
  await own.start()
  return own
}
