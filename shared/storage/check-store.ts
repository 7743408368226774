import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { CofferError } from '../errors.ts'
import type { Store } from './store.ts'

type Checked = Pick<Store, 'url' | 'write' | 'read' | 'head' | 'delete'>

/** Writes, reads, and deletes a small object; throws what stands against it. */
export async function checkStore(store: Checked): Promise<void> {
  const key = `coffer-check-${randomUUID()}`
  const sent = Buffer.from(`written by a check of this store: ${key}\n`)
  try {
    await store.write(key, Readable.from([sent]))
    const held = await buffer(await store.read(key))
    if (!held.equals(sent)) throw new CofferError('STORE_MISMATCH', `${store.url} gave back other bytes than were sent`)
  } catch (error) {
    await store.delete(key).catch(() => undefined)
    throw error
  }
  await store.delete(key)
  if (await store.head(key)) throw new CofferError('STORE_MISMATCH', `${store.url} still has ${key} after deleting it`)
}
