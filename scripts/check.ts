import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** `npm run check`: everything that judges the source without running it. Goes through all of them before it fails. */
const CHECKS = [
  ['the compiler', 'typescript/bin/tsc', '-p', '.'],
  ['the linter', 'eslint/bin/eslint.js', '.'],
  ['the formatter', 'prettier/bin/prettier.cjs', '--check', '.'],
  ['the layering rules', 'vitest/vitest.mjs', 'run', '--project', 'layering'],
] as const

const checkout = join(import.meta.dirname, '..')
const failed = CHECKS.filter(([name, program, ...args]) => {
  console.log(`\n${name}: ${program} ${args.join(' ')}`)
  const command = [join(checkout, 'node_modules', program), ...args]
  return spawnSync(process.execPath, command, { cwd: checkout, stdio: 'inherit' }).status !== 0
}).map(([name]) => name)
console.log(failed.length === 0 ? '\ncheck: all is well' : `\ncheck failed: ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1
