import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { CofferError } from '../errors.ts'
import { release } from '../release.ts'

const STDERR_TAIL_BYTES = 64 * 1024
const KILL_GRACE_MS = 3_000

export interface ChildFailure {
  code: number | null
  signal: NodeJS.Signals | null
  /** The last 64 KiB at most. May hold anything that the program printed: scrub before showing. */
  stderrTail: string
}

export interface ChildCommand {
  program: string
  args: readonly string[]
  /** The whole environment of the child, `PATH` included; nothing is inherited. */
  env: Record<string, string>
  signal?: AbortSignal
  /** Names the failure of a child that ended with anything but exit code 0. */
  onFailure(exit: ChildFailure): CofferError
}

interface RunningChild {
  process: ChildProcess
  /** Resolves when the child has exited and every pipe is closed; throws `onFailure` unless the exit code is 0. */
  succeeded(): Promise<void>
  /** Ends the whole process group and awaits the close; does nothing after a close. */
  stop(): Promise<void>
}

/**
 * Yields what the child prints. The stream ends only after the child has exited with 0: end of output alone proves nothing.
 * A consumer that stops early, or the signal, ends the process group first.
 *
 * @throws CLIENT_MISSING, what `onFailure` makes, or the signal's reason
 */
export async function* readFromChild(command: ChildCommand): AsyncGenerator<Buffer, void, void> {
  const running = await startChild(command, 'ignore')
  try {
    for await (const chunk of running.process.stdout ?? []) yield chunk as Buffer
    await running.succeeded()
  } catch (error) {
    command.signal?.throwIfAborted()
    throw error
  } finally {
    await running.stop()
  }
}

/**
 * Feeds `input` to the child and resolves after it has exited with 0. When the input fails, the child never sees an end of
 * input: its process group is ended first, then the input's error is thrown. A child that stops reading early and still
 * succeeds is believed, but the input is read to its end all the same, so that an error there still counts. While the child
 * takes a chunk the next one is made, so that the input may not write over a chunk that it has given away; what was taken is released.
 *
 * @throws CLIENT_MISSING, what `onFailure` makes, the input's error, or the signal's reason
 */
export async function writeToChild(command: ChildCommand, input: AsyncIterable<Uint8Array>): Promise<void> {
  const running = await startChild(command, 'pipe')
  try {
    running.process.stdout?.resume()
    let isReading = true
    let taken = Promise.resolve(true)
    for await (const chunk of input) {
      if (!isReading) continue
      isReading = await taken
      if (isReading) taken = write(running.process, chunk)
      else await running.succeeded()
    }
    running.process.stdin?.end()
    await running.succeeded()
  } catch (error) {
    command.signal?.throwIfAborted()
    throw error
  } finally {
    await running.stop()
  }
}

/** Resolves to whether the child still takes input, once it has taken this. */
function write({ stdin }: ChildProcess, chunk: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    if (!stdin?.writable) {
      resolve(false)
      return
    }
    stdin.write(chunk, (error) => {
      release(chunk)
      resolve(!error)
    })
  })
}

async function startChild(command: ChildCommand, stdin: 'ignore' | 'pipe'): Promise<RunningChild> {
  const { program, args, env, signal } = command
  signal?.throwIfAborted()
  const child = spawnGroup(program, args, env, stdin)
  const stderrTail = collectTail(child)
  let isClosed = false
  const closed = new Promise<ChildFailure>((resolve) => {
    child.once('close', (code, exitSignal) => {
      isClosed = true
      signal?.removeEventListener('abort', onAbort)
      resolve({ code, signal: exitSignal, stderrTail: stderrTail() })
    })
  })
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => (stopping ??= isClosed ? Promise.resolve() : stopGroup(child, closed))
  const onAbort = () => void stop()

  try {
    await once(child, 'spawn')
  } catch (error) {
    throw startFailure(program, error)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) await stop()
  signal?.throwIfAborted()
  return {
    process: child,
    stop,
    async succeeded() {
      const exit = await closed
      if (exit.code !== 0 || exit.signal !== null) throw command.onFailure(exit)
    },
  }
}

function spawnGroup(program: string, args: readonly string[], env: Record<string, string>, stdin: 'ignore' | 'pipe') {
  try {
    const child = spawn(program, args, { env, stdio: [stdin, 'pipe', 'pipe'], detached: true })
    // A write that fails is noticed by its callback, and what it means by the exit code.
    child.stdin?.on('error', () => undefined)
    return child
  } catch (error) {
    throw startFailure(program, error)
  }
}

/** Without a cause: Node quotes the offending value of the environment in some messages. */
function startFailure(program: string, error: unknown): CofferError {
  const { code = 'unknown' } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'EACCES'
    ? new CofferError('CLIENT_MISSING', `program ${program} cannot be started: ${code}`, { details: { program } })
    : new CofferError('INTERNAL', `program ${program} cannot be started: ${code}`, { details: { program, code } })
}

function collectTail({ stderr }: ChildProcess): () => string {
  let tail = Buffer.alloc(0)
  stderr?.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-STDERR_TAIL_BYTES)
  })
  stderr?.on('error', () => undefined)
  return () => tail.toString('utf8')
}

// stdin stays open until the child is dead: many programs take its end for the end of good input.
async function stopGroup(child: ChildProcess, closed: Promise<unknown>): Promise<void> {
  signalGroup(child, 'SIGTERM')
  child.stdout?.destroy()
  const timer = setTimeout(() => {
    signalGroup(child, 'SIGKILL')
    child.stderr?.destroy()
  }, KILL_GRACE_MS)
  await closed
  clearTimeout(timer)
  signalGroup(child, 'SIGKILL')
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // The group is gone already, or no longer ours to end: the close that is awaited tells.
  }
}
