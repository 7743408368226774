import { WORKER_FLAGS } from '../../workers/node-flags.ts'
import { chooseAddress, type Address } from './address.ts'
import { supervise, type Supervised, type Surroundings } from './supervisor.ts'

export interface Programs {
  /** Resolves with the producer's address when all take work. */
  ready: Promise<Address>
  /** Rejects when one of them is given up; never resolves. */
  givenUp: Promise<never>
  /** The producer first, so that nothing new comes in; then the workers, all at once. */
  stop(): Promise<void>
}

/** Starts the producer and the workers. `given` says where the producer listens; `env` is what all of them get. */
export async function startPrograms(
  given: Readonly<Record<string, string | undefined>>,
  env: NodeJS.ProcessEnv,
  workerCount: number,
  surroundings: Surroundings,
): Promise<Programs> {
  let address = await chooseAddress(given)
  let isListening = false
  const producer = supervise(
    {
      name: 'producer',
      script: 'producer/main.ts',
      env: async () => {
        // Until it listens, another program may be quicker to take the port.
        if (!isListening) address = await chooseAddress(given)
        return { ...env, HOST: address.host, PORT: String(address.port) }
      },
      isReadyLine: (line) => (isListening ||= line.includes('"msg":"listening"')),
    },
    surroundings,
  )
  const workers = Array.from({ length: workerCount }, (_, index) =>
    startWorker(`worker-${index + 1}`, env, surroundings),
  )
  const all = [producer, ...workers]
  return {
    ready: Promise.all(all.map((program) => program.ready)).then(() => address),
    givenUp: Promise.race(all.map((program) => program.givenUp)),
    async stop() {
      await producer.stop()
      await Promise.all(workers.map((worker) => worker.stop()))
    },
  }
}

function startWorker(name: string, env: NodeJS.ProcessEnv, surroundings: Surroundings): Supervised {
  const isReadyLine = (line: string): boolean => line.includes('"msg":"worker ready"')
  return supervise(
    { name, script: 'workers/main.ts', nodeFlags: WORKER_FLAGS, env: () => Promise.resolve(env), isReadyLine },
    surroundings,
  )
}
