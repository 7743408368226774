import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { toCofferError } from '../../shared/errors.ts'
import { readIdentities, recipientsOf, requireIdentityFor } from '../../shared/identities.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'

const refusal = (work: Promise<unknown>) => work.then(() => null, toCofferError)

async function fileWith(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-identities-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'identity.txt'), text)
  return join(folder, 'identity.txt')
}

describe('the identity file', () => {
  test('holds any number of identities between comments, and each has its public key', async () => {
    const [old, now] = [await generateIdentity(), await generateIdentity()]
    const file = await fileWith(`# created by hand\n${old.identity}\n\n  ${now.identity}\n`)
    const identities = await readIdentities(file)
    expect(identities).toEqual([old.identity, now.identity])
    expect(await recipientsOf(identities)).toEqual([old.recipient, now.recipient])
    expect(await readIdentities(undefined)).toEqual([])
  })

  test('that can not be read is a missing key; one that holds something else is an invalid configuration', async () => {
    const { identity } = await generateIdentity()
    const last = identity.at(-1) === 'Q' ? 'P' : 'Q'
    const table = {
      KEY_MISSING: ['/nonexistent/identity.txt'],
      CONFIG_INVALID: [
        await fileWith(''),
        await fileWith(`${identity}\nage1something`),
        await fileWith(`${identity.slice(0, -1)}${last}\n`),
      ],
    }
    for (const [code, files] of Object.entries(table))
      for (const file of files) {
        const error = await refusal(readIdentities(file))
        expect(error?.code).toBe(code)
        expect(`${error?.message} ${String(error?.cause)}`).not.toContain(identity.slice(20, 50))
      }
  })
})

describe('F34 the key that a backup needs', () => {
  test('is looked for among several, and named with those that are loaded when it is not there', async () => {
    const [service, recovery, other] = [await generateIdentity(), await generateIdentity(), await generateIdentity()]
    const recipients = [service.recipient, recovery.recipient]
    await requireIdentityFor(recipients, [other.identity, recovery.identity])
    const wrong = await refusal(requireIdentityFor(recipients, [other.identity]))
    expect(wrong).toMatchObject({ code: 'KEY_WRONG', details: { recipients, loaded: [other.recipient] } })
    for (const name of [...recipients, other.recipient]) expect(wrong?.message).toContain(name)
    expect(wrong?.message).not.toContain(other.identity)
    const missing = await refusal(requireIdentityFor(recipients, []))
    expect(missing?.code).toBe('KEY_MISSING')
    expect(missing?.message).toContain(recovery.recipient)
  })

  test('is none for a backup that is not encrypted', async () => {
    await requireIdentityFor([], [])
  })
})
