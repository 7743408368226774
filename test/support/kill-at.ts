import { subscribe } from 'node:diagnostics_channel'
import { writeSync } from 'node:fs'

// Preloaded into a worker by tests: at the n-th time that the step is reached, the process sends itself a signal: SIGKILL, as a power cut
// would end it, or SIGSTOP, as a frozen machine would leave it.
const signal = (process.env.COFFER_TEST_SIGNAL ?? 'SIGKILL') as NodeJS.Signals
const [wanted, nth = '1'] = (process.env.COFFER_TEST_KILL_AT ?? '').split('#')
let left = Number(nth)
subscribe('coffer:step', (message) => {
  const { step, key = '' } = message as { step: string; key?: string }
  const onArtifact = !['before-complete', 'after-complete', 'mid-part'].includes(step) || key.endsWith('.age')
  if (step !== wanted || !onArtifact || --left > 0) return
  writeSync(1, `${JSON.stringify({ msg: `${signal} at ${step}`, key })}\n`)
  process.kill(process.pid, signal)
})
