import { createInterface } from 'node:readline'
import type { FaultScript } from './faults.ts'
import { startS3Server } from './server.ts'
import type { S3ServerOptions } from './server.ts'

/*
 * The server as a process of its own: `node main.ts '<options as JSON>'` prints `{"url":…,"credentials":…}` and a line of JSON for each
 * line on stdin: a fault script is added and answered by `{"added":true}`, `"requests"` by the log. It ends with its stdin.
 */
const options = JSON.parse(process.argv[2] ?? '{}') as S3ServerOptions
const server = await startS3Server(options)
print({ url: server.url, endpoint: server.endpoint, credentials: server.credentials })

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const command = JSON.parse(line) as FaultScript | 'requests'
  if (command === 'requests') print(server.requests)
  else {
    server.fault(command)
    print({ added: true })
  }
})
lines.on('close', () => void server.close())

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
