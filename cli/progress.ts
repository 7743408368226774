import { MultiBar } from 'cli-progress'
import type { SingleBar } from 'cli-progress'
import type { Output } from './output.ts'
import { printable } from './text.ts'

const PLAIN_INTERVAL_MS = 10_000

/** How one thing goes. A new `state` is worth a line at once, a new `line` of the same state only now and then. */
export interface ProgressRow {
  key: string
  state: string
  line: string
}

/** Disposing leaves the terminal as it was. */
export interface ProgressDisplay extends Disposable {
  show(rows: readonly ProgressRow[]): void
}

/** On stderr: a live line for each row on a terminal, periodic lines elsewhere, nothing with `--json`. `now` in milliseconds. */
export function openProgress({ json, stderr }: Output, now: () => number): ProgressDisplay {
  if (json) return { show: () => undefined, [Symbol.dispose]: () => undefined }
  return stderr.isTTY ? openBars(stderr) : openLines(stderr, now)
}

function openBars(stream: Output['stderr']): ProgressDisplay {
  const bars = new Map<string, SingleBar>()
  const multi = new MultiBar({
    stream,
    hideCursor: true,
    fps: 4,
    format: (_options, { maxWidth }, { line }: { line: string }) => printable(line).slice(0, maxWidth - 1),
  })
  return {
    show(rows) {
      for (const { key, line } of rows) {
        const bar = bars.get(key)
        if (bar) bar.update({ line })
        else bars.set(key, multi.create(1, 0, { line }))
      }
    },
    [Symbol.dispose]: () => {
      if (bars.size > 0) multi.stop()
    },
  }
}

function openLines(stream: Output['stderr'], now: () => number): ProgressDisplay {
  const printed = new Map<string, { state: string; line: string; at: number }>()
  return {
    show(rows) {
      for (const { key, state, line } of rows) {
        const [last, at] = [printed.get(key), now()]
        if (last && (last.line === line || (last.state === state && at - last.at < PLAIN_INTERVAL_MS))) continue
        stream.write(`${printable(line)}\n`)
        printed.set(key, { state, line, at })
      }
    },
    [Symbol.dispose]: () => undefined,
  }
}
