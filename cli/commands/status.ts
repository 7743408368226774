import type { Command } from 'commander'
import type { Runner } from '../context.ts'
import { Identity } from '../resources.ts'
import { fields } from '../text.ts'

export function addStatusCommand(program: Command, run: Runner): void {
  program
    .command('status')
    .alias('whoami')
    .description('which producer is used, and who it takes you for')
    .action(
      run(async ({ api }) => {
        const { url, urlFrom, tokenFrom } = api.address
        const me = await api.get('/iam/v3/me/', Identity)
        return {
          document: { producer: url.href, producer_from: urlFrom, token_from: tokenFrom, me },
          lines: fields({
            producer: `${url.href} (from ${urlFrom})`,
            token: `accepted (from ${tokenFrom})`,
            'signed in as': [me.first_name, me.last_name, me.email].filter(Boolean).join(' '),
            role: me.role ?? '-',
          }),
        }
      }),
    )
}
