import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { Option } from 'commander'
import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import type { Context } from '../context.ts'

/** How an address is given, which is a secret. */
export interface UrlOptions {
  url?: string
  urlFile?: string
  urlStdin?: boolean
}

/** @param addresses what it looks like, for the help */
export function withUrl(command: Command, addresses: string): Command {
  return command
    .addOption(new Option('--url-stdin', `read the address (${addresses}) from stdin`).conflicts(['urlFile', 'url']))
    .addOption(new Option('--url-file <file>', 'read the address from a file').conflicts('url'))
    .option('--url <url>', 'the address; other users see it in the list of processes')
}

/** The connection's address without the line end that editors and echo add. */
export async function givenUrl(
  { stdin, cwd, output }: Context,
  { url, urlFile, urlStdin }: UrlOptions,
): Promise<string> {
  if (url !== undefined) {
    output.note('warning: --url can be seen in the list of processes; --url-stdin and --url-file cannot')
    return notEmpty(url, '--url')
  }
  if (urlFile !== undefined) return notEmpty(await readUrlFile(resolve(cwd, urlFile)), urlFile)
  if (urlStdin !== true) throw new CofferError('USAGE_INVALID', 'no address: give --url-stdin, --url-file or --url')
  if (stdin.isTTY) output.note('type the address, then Enter and Ctrl-D')
  return notEmpty(await text(stdin), 'stdin')
}

async function readUrlFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CofferError(
      'USAGE_INVALID',
      `cannot read the address: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
}

function notEmpty(address: string, from: string): string {
  const trimmed = address.trim()
  if (trimmed === '') throw new CofferError('USAGE_INVALID', `${from} holds no address`)
  return trimmed
}
