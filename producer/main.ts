import { systemClock } from '../shared/clock.ts'
import { loadProducerConfig } from '../shared/config.ts'
import { CofferError } from '../shared/errors.ts'
import { openLog } from '../shared/log.ts'
import { scrub } from '../shared/scrub.ts'
import { startProducer } from './start.ts'

async function main(): Promise<void> {
  const config = loadProducerConfig(process.env)
  const log = openLog('producer', config.COFFER_LOG_LEVEL)
  const producer = await startProducer(config, log, systemClock)
  log.info({ url: producer.url }, 'listening')

  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'not foreseen')
    process.exit(1)
  })

  let isStopping = false
  const stop = (signal: NodeJS.Signals) => {
    if (isStopping) process.exit(1)
    isStopping = true
    log.info({ signal }, 'stopping')
    producer.close().then(
      () => log.info('stopped'),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed')
        process.exitCode = 1
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

main().catch((error: unknown) => {
  const { message, remedy } =
    error instanceof CofferError ? error : { message: error instanceof Error ? (error.stack ?? '') : '', remedy: null }
  process.stderr.write(`producer: ${scrub(message)}${remedy === null ? '' : `\n${remedy}`}\n`)
  process.exitCode = 1
})
