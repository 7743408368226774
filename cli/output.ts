import type { Writable } from 'node:stream'
import type { ExitCode } from './exit-codes.ts'
import { problemLines } from './problem.ts'
import type { Problem } from './problem.ts'
import { printable, printableJson } from './text.ts'

/** What a command has to say: the document for `--json`, the lines for a person. */
export interface Result {
  document: unknown
  lines: readonly string[]
  /** Default: done. */
  exit?: ExitCode
  /** Data went to stdout already, so the result goes to stderr. */
  stdoutTaken?: boolean
}

export interface Output {
  readonly json: boolean
  readonly stdout: Writable
  readonly stderr: Writable & { isTTY?: boolean; columns?: number }
  /** A remark beside the result, on stderr; silent with `--json`. */
  note(line: string): void
  result(result: Result): void
  problem(problem: Problem): void
}

export function createOutput(json: boolean, stdout: Output['stdout'], stderr: Output['stderr']): Output {
  const write = (stream: Writable, lines: readonly string[]) => {
    if (lines.length > 0) stream.write(`${lines.map(printable).join('\n')}\n`)
  }
  return {
    json,
    stdout,
    stderr,
    note(line) {
      if (!json) write(stderr, [line])
    },
    result({ document, lines, stdoutTaken = false }) {
      const stream = stdoutTaken ? stderr : stdout
      if (json) stream.write(`${printableJson(document)}\n`)
      else write(stream, lines)
    },
    problem(problem) {
      if (json) stderr.write(`${printableJson(problem)}\n`)
      else write(stderr, problemLines(problem))
    },
  }
}
