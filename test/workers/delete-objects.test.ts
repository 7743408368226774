import { expect, test } from 'vitest'
import { deleteObjects } from '../../workers/prune/delete-objects.ts'
import { MemoryStore } from '../support/memory-store.ts'

const PREFIX = 'acme/shop/live/2031/05/1/DEFAULT-STORAGE.1/'
const DUMP = `${PREFIX}dump.pgdump.zst.age`
const DELETION = { id: '1', storeUrl: 'memory://', keyPrefix: PREFIX, keys: [DUMP] }

/** Says that it deletes, and keeps what its name says. */
class KeepingStore extends MemoryStore {
  readonly asked: string[] = []
  readonly #kept: string

  constructor(kept: string) {
    super()
    this.#kept = kept
    for (const name of ['manifest.json', 'dump.pgdump.zst.age', 'state.json', 'leftover'])
      this.objects.set(`${PREFIX}${name}`, Buffer.from('x'))
    this.objects.set(`${PREFIX.replace('/1/', '/2/')}manifest.json`, Buffer.from('x'))
  }

  override async delete(key: string): Promise<void> {
    this.asked.push(key)
    if (!key.endsWith(this.#kept)) await super.delete(key)
  }
}

test('the manifest goes first, then everything in the folder, and nothing beside it', async () => {
  const store = new KeepingStore('nothing')
  await deleteObjects(store, DELETION)
  expect(store.asked[0]).toBe(`${PREFIX}manifest.json`)
  expect([...store.objects.keys()]).toEqual([`${PREFIX.replace('/1/', '/2/')}manifest.json`])
  await deleteObjects(store, DELETION)
})

test.each(['dump.pgdump.zst.age', 'state.json'])(
  'a store that says it has deleted %s and still has it is believed no word',
  async (name) => {
    await expect(deleteObjects(new KeepingStore(name), DELETION)).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  },
)

test('a manifest that stays keeps everything else', async () => {
  const store = new KeepingStore('manifest.json')
  await expect(deleteObjects(store, DELETION)).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  expect(store.objects.has(DUMP)).toBe(true)
})
