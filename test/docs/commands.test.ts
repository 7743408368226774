import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { coffer, serve, temporaryFolder } from '../cli/support.ts'
import { startTestProducer } from '../support/producer.ts'

const blocks = async (page: string, language: string) => {
  const text = await readFile(page, 'utf8')
  return [...text.matchAll(new RegExp('```' + language + '\\n(.*?)```', 'gs'))].map(([, block = '']) => block)
}

/** The words of `coffer …` lines that need no shell to be understood. */
async function commandsOf(page: string): Promise<string[][]> {
  const lines = (await blocks(page, '(?:ba)?sh')).flatMap((block) => block.split('\n'))
  return lines
    .map((line) => line.replace(/<(backup|restore)>/g, '0d3f8a52-7a53-4d37-8f0e-6f3c0b3a9d55'))
    .filter((line) => /^coffer [^|<]*$/.test(line))
    .map((line) => line.replace(/ +#.*/, ''))
    .map((line) => [...line.matchAll(/'([^']*)'|(\S+)/g)].slice(1).map(([, quoted, plain]) => quoted ?? plain ?? ''))
}

test.each(['docs/cli.md', 'docs/retention.md', 'docs/restore.md', 'README.md'])(
  'every command of %s is one that there is',
  async (page) => {
    const commands = await commandsOf(page)
    expect(commands.length).toBeGreaterThan(3)
    // Whoever gets as far as being refused for the token has not been refused for wrong usage.
    const problem = { title: 'no', status: 401, code: 'UNAUTHENTICATED', detail: 'no' }
    const url = await serve((_request, response) =>
      response.writeHead(401, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem)),
    )
    for (const args of commands) {
      // Those that want a file or a token first; test/cli runs them.
      if (args.includes('-f') || args.includes('--url-file') || /^(log(in|out)|keys check)\b/.test(args.join(' ')))
        continue
      const { code, stderr } = await coffer(args, { url })
      expect([args, code, stderr]).toEqual([args, 5, expect.stringContaining('refused the token')])
    }
  },
)

test('the plans of docs/retention.md can be applied, and a second time there is nothing to do', async () => {
  await using producer = await startTestProducer()
  const [input = ''] = await blocks('docs/retention.md', 'yaml')
  const apply = async () =>
    coffer(['apply', '-f', '-', '--yes'], {
      url: producer.url,
      token: producer.place.adminToken,
      cwd: await temporaryFolder(),
      input,
    })
  expect(await apply()).toMatchObject({ code: 0, stdout: '1 plan applied\n' })
  expect((await apply()).stdout).toMatch(/^nothing to do/)
})
