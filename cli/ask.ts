import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { Context } from './context.ts'
import { printable } from './text.ts'

/** Whether a person at the terminal says yes; false where nobody can be asked: without a terminal, and with `--json`. */
export async function ask({ api, stdin, output }: Context, question: string): Promise<boolean> {
  if (output.json || stdin.isTTY !== true) return false
  // The terminal itself turns Ctrl-C into a signal; readline's own terminal mode would swallow it.
  const lines = createInterface({ input: stdin, output: output.stderr, terminal: false })
  try {
    const closed = once(lines, 'close').then(() => '')
    const answer = await Promise.race([lines.question(`${printable(question)} [y/N] `, { signal: api.signal }), closed])
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
