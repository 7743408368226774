import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { readFromChild, writeToChild, type ChildCommand, type ChildFailure } from '../../shared/pipeline/child.ts'

const env = { PATH: process.env.PATH ?? '' }

function sh(script: string, more: Partial<ChildCommand> = {}): ChildCommand & { exits: ChildFailure[] } {
  const exits: ChildFailure[] = []
  return {
    program: 'sh',
    args: ['-c', script],
    env,
    exits,
    onFailure(exit) {
      exits.push(exit)
      return new CofferError('DUMP_FAILED', `sh exited with ${String(exit.code)} ${String(exit.signal)}`)
    },
    ...more,
  }
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function* of(...chunks: string[]) {
  for (const chunk of chunks) {
    await setImmediate()
    yield Buffer.from(chunk)
  }
}

/** A zombie has ended; who reaps it is init's business. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describe('readFromChild', () => {
  test('gives every byte of a child that exits with 0', async () => {
    const bytes = await drain(readFromChild(sh('head -c 3000000 /dev/zero; printf end')))
    expect(bytes.length).toBe(3_000_003)
    expect(bytes.subarray(-3).toString()).toBe('end')
  })

  test('a child that closes its output and exits with 1 later is a failure, not an end (F19)', async () => {
    const command = sh('head -c 600000 /dev/zero; exec >&-; echo broken >&2; sleep 0.2; exit 1')
    let seen = 0
    const reading = (async () => {
      for await (const chunk of readFromChild(command)) seen += chunk.length
    })()
    await expect(reading).rejects.toMatchObject({ code: 'DUMP_FAILED' })
    expect(seen).toBe(600_000)
    expect(command.exits).toEqual([{ code: 1, signal: null, stderrTail: 'broken\n' }])
  })

  test('a child killed by a signal is a failure (F22)', async () => {
    const command = sh('printf half; kill -9 $$')
    await expect(drain(readFromChild(command))).rejects.toMatchObject({ code: 'DUMP_FAILED' })
    expect(command.exits).toMatchObject([{ code: null, signal: 'SIGKILL' }])
  })

  test('keeps the last 64 KiB of a flood on stderr', async () => {
    const command = sh('head -c 1000000 /dev/zero | tr "\\0" x >&2; printf END >&2; exit 3')
    await expect(drain(readFromChild(command))).rejects.toThrow('exited with 3')
    const tail = command.exits[0]?.stderrTail ?? ''
    expect(tail.length).toBe(64 * 1024)
    expect(tail.endsWith('xEND')).toBe(true)
  })

  test.each(['no-such-program-at-all', '/etc/passwd'])(
    'names a program that cannot be started: %s',
    async (program) => {
      const command = { ...sh(''), program }
      await expect(drain(readFromChild(command))).rejects.toMatchObject({
        code: 'CLIENT_MISSING',
        message: expect.stringContaining(program) as string,
      })
    },
  )

  test('does not quote the environment when a child cannot be started', async () => {
    const command = sh('', { env: { ...env, PGPASSWORD: 'canary\0secret' } })
    const error: unknown = await drain(readFromChild(command)).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'INTERNAL' })
    expect((error as CofferError).stack).not.toContain('canary')
  })

  test('passes the given environment and nothing else', async () => {
    const bytes = await drain(readFromChild({ ...sh(''), program: 'env', args: [], env: { ...env, ONLY: 'this' } }))
    expect(bytes.toString().trim().split('\n').sort()).toEqual([`ONLY=this`, `PATH=${env.PATH}`])
  })

  test('a consumer that stops early ends the whole group, grandchildren too, before it goes on', async () => {
    const pids: number[] = []
    for await (const chunk of readFromChild(sh('sleep 600 & echo $$ $!; wait'))) {
      pids.push(...chunk.toString().trim().split(' ').map(Number))
      break
    }
    expect(pids).toHaveLength(2)
    await expect.poll(() => pids.filter(isRunning)).toEqual([])
  })

  test('the signal ends a silent child and its group and rejects with its reason', async () => {
    const controller = new AbortController()
    const reason = new CofferError('RUN_CANCELLED', 'cancelled')
    const source = readFromChild(sh('sleep 600 & echo $!; wait', { signal: controller.signal }))
    const first = await source.next()
    const next = source.next()
    controller.abort(reason)
    await expect(next).rejects.toBe(reason)
    await expect.poll(() => isRunning(Number(first.value))).toBe(false)
  })

  test('the signal ends a child that has closed its output and still runs', async () => {
    const controller = new AbortController()
    const source = readFromChild(sh('echo on; exec >&-; exec sleep 600', { signal: controller.signal }))
    await source.next()
    const next = source.next()
    await setImmediate()
    controller.abort(new Error('enough'))
    await expect(next).rejects.toThrow('enough')
  })

  test('an aborted signal starts nothing', async () => {
    const signal = AbortSignal.abort(new Error('too late'))
    await expect(drain(readFromChild(sh('exit 0', { signal })))).rejects.toThrow('too late')
  })
})

describe('writeToChild', () => {
  test('feeds everything and resolves after exit 0', async () => {
    const command = sh('test "$(cat | sha256sum | cut -c1-64)" = "$WANT"')
    const want = '9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0' // aaa
    await writeToChild({ ...command, env: { ...env, WANT: want } }, of('a', 'a', 'a'))
  })

  test('drains a child that prints more than a pipe holds', async () => {
    await writeToChild(sh('head -c 5000000 /dev/zero; cat >/dev/null'), of('x'.repeat(300_000)))
  })

  test('the next chunk is made while the child takes one, and no more than that', async () => {
    const controller = new AbortController()
    let made = 0
    async function* input() {
      for (;;) {
        made += 1
        if (made === 2) void setImmediate().then(() => controller.abort(new Error('seen enough')))
        yield* of('x'.repeat(5_000_000))
      }
    }
    const command = sh('exec sleep 600', { signal: controller.signal })
    await expect(writeToChild(command, input())).rejects.toThrow('seen enough')
    expect(made).toBe(2)
  })

  test('input that fails ends the child and is what is thrown', async () => {
    const broken = new CofferError('ARTIFACT_CORRUPT', 'the tag is wrong')
    await expect(writeToChild(sh('cat >/dev/null'), failing(broken))).rejects.toBe(broken)
  })

  test('a child that dies while it is fed is named by its exit, not by a broken pipe, and the input is closed', async () => {
    const command = sh('head -c 10 >/dev/null; echo no space >&2; exit 4')
    let isClosed = false
    async function* endless() {
      try {
        for (;;) yield* of('x'.repeat(100_000))
      } finally {
        isClosed = true
      }
    }
    await expect(writeToChild(command, endless())).rejects.toMatchObject({ code: 'DUMP_FAILED' })
    expect(command.exits).toMatchObject([{ code: 4, stderrTail: 'no space\n' }])
    expect(isClosed).toBe(true)
  })

  test('exit 0 of a child that stopped reading counts only with a good end of the input', async () => {
    const chunks = Array.from({ length: 20 }, () => 'x'.repeat(100_000))
    await writeToChild(sh('head -c 10 >/dev/null'), of(...chunks))
    async function* broken() {
      yield* of(...chunks)
      throw new CofferError('ARTIFACT_CORRUPT', 'the digest differs')
    }
    await expect(writeToChild(sh('head -c 10 >/dev/null'), broken())).rejects.toThrow('the digest differs')
  })

  test('exit 1 after the last byte is a failure', async () => {
    await expect(writeToChild(sh('cat >/dev/null; exit 1'), of('all'))).rejects.toMatchObject({ code: 'DUMP_FAILED' })
  })

  test('the signal ends a child that does not read, with the reason', async () => {
    const controller = new AbortController()
    const started = once(controller.signal, 'abort')
    async function* input() {
      yield Buffer.alloc(1)
      await setImmediate()
      setTimeout(() => controller.abort(new Error('cancelled')), 0)
      yield Buffer.alloc(4_000_000)
    }
    await expect(writeToChild(sh('exec sleep 600', { signal: controller.signal }), input())).rejects.toThrow(
      'cancelled',
    )
    await started
  })
})

describe.concurrent('a group that ignores SIGTERM', () => {
  test('gets SIGKILL after the grace', async ({ expect }) => {
    const source = readFromChild(sh('trap "" TERM; sleep 600 & echo $!; wait; wait'))
    const first = await source.next()
    await source.return()
    await expect.poll(() => isRunning(Number(first.value))).toBe(false)
  })

  test('never sees an end of input when the input fails', async ({ expect }) => {
    const script = 'trap "" TERM; cat >/dev/null; kill -USR1 $PARENT'
    const command = sh(script, { env: { ...env, PARENT: String(process.pid) } })
    let sawEndOfFile = false
    const listener = () => (sawEndOfFile = true)
    process.on('SIGUSR1', listener)
    const broken = new Error('the tag is wrong')
    await expect(writeToChild(command, failing(broken))).rejects.toBe(broken)
    await setImmediate()
    process.off('SIGUSR1', listener)
    expect(sawEndOfFile).toBe(false)
  })
})

async function* failing(error: Error) {
  yield* of('half')
  throw error
}
