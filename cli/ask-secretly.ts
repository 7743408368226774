import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Context } from './context.ts'

interface Terminal extends Readable {
  setRawMode(raw: boolean): unknown
}

const isTerminal = (stdin: Readable & { isTTY?: boolean }): stdin is Terminal & { isTTY: true } =>
  stdin.isTTY === true && 'setRawMode' in stdin

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const ERASE = new Set(['\u0008', '\u007f'])

/** What a person types at the terminal, unseen; where there is none, all that stdin has. Without the white space around it. */
export async function askSecretly(
  { stdin, output }: Pick<Context, 'stdin' | 'output'>,
  question: string,
): Promise<string> {
  if (!isTerminal(stdin)) return (await text(stdin)).trim()
  output.stderr.write(`${question}: `)
  stdin.setRawMode(true)
  try {
    return (await readLine(stdin)).trim()
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    output.stderr.write('\n')
  }
}

async function readLine(stdin: Readable): Promise<string> {
  let typed = ''
  for await (const chunk of stdin.iterator({ destroyOnReturn: false }))
    for (const character of String(chunk)) {
      if (character === '\r' || character === '\n' || character === CTRL_D) return typed
      if (character === CTRL_C) {
        // Raw mode keeps the terminal from making a signal of it.
        const heard = once(process, 'SIGINT')
        process.kill(process.pid, 'SIGINT')
        await heard
        return ''
      }
      typed = ERASE.has(character) ? typed.slice(0, -1) : typed + character
    }
  return typed
}
