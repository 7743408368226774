import { expect, test } from 'vitest'
import { readText, writeText } from '../../shared/storage/text-objects.ts'
import { startTestCoffer } from '../support/coffer.ts'

test('a text is read whole, or not at all where it is longer than its reader takes', async () => {
  await using coffer = await startTestCoffer()
  await writeText(coffer.store, 'state.json', 'twelve bytes')
  expect(await readText(coffer.store, 'state.json')).toBe('twelve bytes')
  expect(await readText(coffer.store, 'state.json', 12)).toBe('twelve bytes')
  expect(await readText(coffer.store, 'state.json', 11)).toBeNull()
  expect(await readText(coffer.store, 'nothing.json')).toBeNull()
})
