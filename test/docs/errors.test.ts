import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { FAILURES } from '../../shared/errors.ts'

test('docs/errors.md lists every failure code with its status, its failure class and its remedy, and no other', async () => {
  const page = await readFile('docs/errors.md', 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  const expected = Object.entries(FAILURES).map(
    ([code, { status, retry, remedy }]) => `| \`${code}\` | ${status} | ${retry} | ${remedy} |`,
  )
  expect(rows).toEqual(expected)
})
