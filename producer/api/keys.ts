import { z } from 'zod'
import { listKeyReports } from '../../shared/catalog/key-reports.ts'
import {
  countUnreadable,
  listReadable,
  listRecipients,
  registerRecipient,
  retireRecipient,
  type RecipientRow,
} from '../../shared/catalog/recipients.ts'
import type { Page } from '../../shared/catalog/scope.ts'
import { CofferError } from '../../shared/errors.ts'
import { isRecipient } from '../../shared/pipeline/age-header.ts'
import { list, route } from '../define-route.ts'
import { name } from '../fields.ts'
import { keyState } from '../keys.ts'
import type { Producer } from '../producer.ts'
import { Key, ReadableBackup } from '../replies/stores.ts'
import type { Route } from '../routes.ts'

const recipient = z
  .string('must be text')
  .regex(/^age1[0-9a-z]{58}$/, 'must be a public key that begins with age1')
  // A mistyped one would end every backup from now on.
  .refine(isRecipient, 'must be a public key whose checksum matches')
const accept_unreadable = z.boolean('must be true or false').default(false)
const NewKey = z.strictObject({ recipient, name, accept_unreadable })
const Retirement = z.strictObject({ accept_unreadable })

/** Whom backups are encrypted for. Public keys only: no identity ever comes here. All organisations share them. */
export function keyRoutes(producer: Producer): Route[] {
  const { catalog, settings } = producer
  const given = settings.recipients
  const all = '/apps/v3/keys/'
  return [
    list({
      path: all,
      role: 'viewer',
      concernsAll: 'the list of keys',
      summary: 'Lists the public keys that backups are, or were, encrypted for.',
      of: Key,
      more: { unreadable_backups: z.number().describe('backups that no running server can open') },
      rows: listKeys,
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      concernsAll: 'registering a key',
      summary: 'Registers a public key: new backups are encrypted for it, too.',
      body: NewKey,
      reply: Key,
      status: 201,
      codes: ['CONFLICT', 'KEYS_UNREADABLE'],
      async handle({ body, now }) {
        await registerRecipient(catalog, { ...body, given, now, require: await guard(body.accept_unreadable) })
        return one(body.recipient)
      },
    }),
    route({
      method: 'POST',
      path: `${all}:recipient/retire/`,
      role: 'admin',
      concernsAll: 'retiring a key',
      summary: 'Retires a public key: nothing new is encrypted for it.',
      body: Retirement,
      reply: Key,
      codes: ['CONFLICT', 'KEYS_UNREADABLE'],
      async handle({ id: key, body, now }) {
        await one(key)
        const require = await guard(body.accept_unreadable)
        await retireRecipient(catalog, { recipient: key, given, now, require })
        return one(key)
      },
    }),
    list({
      path: `${all}:recipient/backups/`,
      role: 'viewer',
      concernsAll: 'the list of what a key opens',
      summary: 'Lists what a key can read, newest first.',
      of: ReadableBackup,
      async rows({ id: key, page }) {
        await one(key)
        return listReadable(catalog, key, page)
      },
    }),
  ]

  async function listKeys({ page }: { page: Page }) {
    const rows = await listRecipients(catalog, given)
    const holders = await keyHolders()
    const shown = rows.slice(page.offset, page.offset + page.limit).map((row) => view(row, holders))
    const loaded = holders.flatMap((holder) => holder.loaded)
    return { rows: shown, count: rows.length, unreadable_backups: await countUnreadable(catalog, loaded) }
  }

  async function one(key: string): Promise<KeyView> {
    const row = (await listRecipients(catalog, given)).find((candidate) => candidate.recipient === key)
    if (!row) throw new CofferError('NOT_FOUND', `there is no key ${key}`)
    return view(row, await keyHolders())
  }

  function view(row: RecipientRow, holders: readonly KeyHolder[]): KeyView {
    return {
      ...row,
      in_use: row.retired_at === null && (row.name !== null || given.includes(row.recipient)),
      /** Which running processes hold its identity. */
      opened_by: [...new Set(holders.filter((held) => held.loaded.includes(row.recipient)).map((held) => held.name))],
    }
  }

  /** The workers that run, as they report, and this producer. */
  async function keyHolders(): Promise<KeyHolder[]> {
    const { loaded } = await keyState(producer)
    return [...(await listKeyReports(catalog)), { name: 'producer', loaded }]
  }

  /** Refuses a change after which no running process could open what is written, unless that is wanted. */
  async function guard(isAccepted: boolean): Promise<(inUse: readonly string[]) => void> {
    const loaded = new Set((await keyHolders()).flatMap((holder) => holder.loaded))
    return (inUse) => {
      if (isAccepted || inUse.some((key) => loaded.has(key))) return
      const message = `no running producer or worker holds the identity of ${inUse.join(' or ')}: none could restore, verify or drill new backups`
      throw new CofferError('KEYS_UNREADABLE', message)
    }
  }
}

type KeyView = z.infer<typeof Key>

interface KeyHolder {
  name: string
  loaded: readonly string[]
}
