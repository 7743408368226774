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
import { CofferError } from '../../shared/errors.ts'
import { isRecipient } from '../../shared/pipeline/age-header.ts'
import { requireWholeInstallation } from '../auth.ts'
import { name } from '../fields.ts'
import { keyState } from '../keys.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Reply, Route } from '../routes.ts'

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
  const { catalog, clock, settings } = producer
  const given = settings.recipients
  const all = '/apps/v3/keys/'
  return [
    { method: 'GET', path: all, role: 'viewer', handle: list },
    { method: 'POST', path: all, role: 'admin', handle: register },
    { method: 'POST', path: `${all}:recipient/retire/`, role: 'admin', handle: retire },
    { method: 'GET', path: `${all}:recipient/backups/`, role: 'viewer', handle: listBackups },
  ]

  async function list(call: Call): Promise<Reply> {
    requireWholeInstallation(call.actor, 'the list of keys')
    const { page } = parseListQuery({}, call)
    const rows = await listRecipients(catalog, given)
    const holders = await keyHolders()
    const shown = rows.slice(page.offset, page.offset + page.limit).map((row) => view(row, holders))
    const reply = listReply(call, page, rows.length, shown)
    const loaded = holders.flatMap((holder) => holder.loaded)
    return { ...reply, body: { ...(reply.body as object), unreadable_backups: await countUnreadable(catalog, loaded) } }
  }

  async function register(call: Call): Promise<Reply> {
    requireWholeInstallation(call.actor, 'registering a key')
    const body = parseBody(NewKey, call)
    const change = { ...body, given, now: clock(), require: await guard(body.accept_unreadable) }
    await registerRecipient(catalog, change)
    return { status: 201, body: await one(body.recipient) }
  }

  async function retire(call: Call): Promise<Reply> {
    requireWholeInstallation(call.actor, 'retiring a key')
    const { accept_unreadable: isAccepted } = parseBody(Retirement, call)
    const key = call.params['recipient'] ?? ''
    await retireRecipient(catalog, { recipient: key, given, now: clock(), require: await guard(isAccepted) })
    return { status: 200, body: await one(key) }
  }

  async function listBackups(call: Call): Promise<Reply> {
    requireWholeInstallation(call.actor, 'the list of what a key opens')
    const { page } = parseListQuery({}, call)
    const key = call.params['recipient'] ?? ''
    const isKnown = (await listRecipients(catalog, given)).some((row) => row.recipient === key)
    if (!isKnown) throw new CofferError('NOT_FOUND', `there is no key ${key}`)
    const { rows, count } = await listReadable(catalog, key, page)
    return listReply(call, page, count, rows)
  }

  async function one(key: string): Promise<unknown> {
    const row = (await listRecipients(catalog, given)).find((candidate) => candidate.recipient === key)
    return row && view(row, await keyHolders())
  }

  function view(row: RecipientRow, holders: readonly KeyHolder[]): unknown {
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

interface KeyHolder {
  name: string
  loaded: readonly string[]
}
