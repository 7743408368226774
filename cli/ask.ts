import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { Context } from './context.ts'
import { printable } from './text.ts'

/** Whether a person at the terminal says yes; false where nobody can be asked. */
export const ask = async (context: Context, question: string): Promise<boolean> =>
  /^y(es)?$/i.test((await askFor(context, `${question} [y/N]`)) ?? '')

/** What a person at the terminal types; null where nobody can be asked: without a terminal, and with `--json`. */
export async function askFor({ api, stdin, output }: Context, question: string): Promise<string | null> {
  if (output.json || stdin.isTTY !== true) return null
  // The terminal itself turns Ctrl-C into a signal; readline's own terminal mode would swallow it.
  const lines = createInterface({ input: stdin, output: output.stderr, terminal: false })
  try {
    const closed = once(lines, 'close').then(() => '')
    const answer = await Promise.race([lines.question(`${printable(question)} `, { signal: api.signal }), closed])
    return answer.trim()
  } finally {
    lines.close()
  }
}
