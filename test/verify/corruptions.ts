import type { ArtifactKind, ArtifactRecord } from '../../shared/domain/artifact.ts'
import { MANIFEST_NAME, type Manifest } from '../../shared/domain/manifest.ts'
import { decodeManifest, encodeManifest } from '../../shared/manifest.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { openSecrets } from '../../shared/secrets.ts'
import type { VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import type { PartToVerify } from '../../workers/verify/part.ts'
import type { TestCoffer } from '../support/coffer.ts'
import { fileOf, keyOf, unsignedManifest } from './sealed.ts'

export interface Scene {
  coffer: TestCoffer
  subject: VerificationSubject
  /** Another backup of the same service instance. */
  other: VerificationSubject
}

/** Does its damage. @returns what the verifier is given instead of the usual */
export type Corruption = (scene: Scene) => Promise<Partial<PartToVerify>>

const OTHER_SECRET = openSecrets(Buffer.alloc(32, 9).toString('base64'))
const none = {}

const artifact = (scene: Scene, kind: ArtifactKind) => fileOf(scene.coffer, keyOf(scene.subject, kind))
const manifestFile = ({ coffer, subject }: Scene) => fileOf(coffer, `${subject.keyPrefix}${MANIFEST_NAME}`)

/** What can be done to a stored artifact. */
export const TO_ARTIFACTS: Record<string, (kind: ArtifactKind) => Corruption | null> = {
  'a bit of its first byte is turned': (kind) => flip(kind, 0),
  'a bit in its middle is turned': (kind) => async (scene) => {
    const file = artifact(scene, kind)
    await file.flip(Math.floor((await file.read()).length / 2))
    return none
  },
  'a bit of its last byte is turned': (kind) => flip(kind, -1),
  'its last byte is missing': (kind) => async (scene) => {
    const file = artifact(scene, kind)
    await file.write((await file.read()).subarray(0, -1))
    return none
  },
  'a byte is appended': (kind) => async (scene) => {
    const file = artifact(scene, kind)
    await file.write(Buffer.concat([await file.read(), Buffer.from('x')]))
    return none
  },
  'it is exchanged with the other artifact of its backup': (kind) =>
    kind === 'dump'
      ? null
      : async (scene) => {
          const [one, two] = [artifact(scene, 'archive'), artifact(scene, 'file-list')]
          const [first, second] = [await one.read(), await two.read()]
          await one.write(second)
          await two.write(first)
          return none
        },
  'it is replaced by that of another backup': (kind) => async (scene) => {
    await artifact(scene, kind).write(await fileOf(scene.coffer, keyOf(scene.other, kind)).read())
    return none
  },
  'it is replaced by a whole one of the same size': (kind) => async (scene) => {
    await artifact(scene, kind).write(await twinOf(scene, kind))
    return none
  },
  'it is missing': (kind) => async (scene) => {
    await artifact(scene, kind).remove()
    return none
  },
}

/** What can be done to the manifest, to its keys, and beside it. */
export const TO_THE_REST: Record<string, Corruption> = {
  'the manifest is missing': async (scene) => {
    await manifestFile(scene).remove()
    return none
  },
  'a bit of the manifest is turned': async (scene) => {
    await manifestFile(scene).flip(-40)
    return none
  },
  'the manifest is that of another backup': async (scene) => {
    await manifestFile(scene).write(scene.other.manifest)
    return none
  },
  'the manifest is signed with another secret key': async (scene) => {
    await manifestFile(scene).write(encodeManifest(OTHER_SECRET, unsigned(scene)))
    return none
  },
  'the manifest is not signed': async (scene) => {
    await manifestFile(scene).write(JSON.stringify(unsigned(scene)))
    return none
  },
  'counts in the manifest are changed': async (scene) => {
    await manifestFile(scene).write(
      JSON.stringify({ ...unsigned(scene), contents: miscounted(scene), mac: macOf(scene) }),
    )
    return none
  },
  'counts in the manifest are changed, and it is signed': async (scene) => {
    await manifestFile(scene).write(resigned(scene))
    return none
  },
  'the same in the store and in the catalog': async (scene) => {
    const manifest = resigned(scene)
    await manifestFile(scene).write(manifest)
    return { subject: { ...scene.subject, manifest } }
  },
  'manifest and catalog are of another attempt': (scene) =>
    Promise.resolve({ subject: { ...scene.subject, attempt: scene.subject.attempt + 1 } }),
  'the verifier has another secret key': () => Promise.resolve({ secrets: OTHER_SECRET }),
  'the verifier has the wrong age key': async () => ({ identities: [(await generateIdentity()).identity] }),
  'the verifier has no age key': () => Promise.resolve({ identities: [] }),
  'the verifier has no age key, and a bit in the middle is turned': async (scene) => {
    const [kind] = kindsOf(scene.subject)
    await TO_ARTIFACTS['a bit in its middle is turned']?.(kind)?.(scene)
    return { identities: [] }
  },
  'an object lies there that nobody sealed': async ({ coffer, subject }) => {
    await fileOf(coffer, `${subject.keyPrefix}planted.zst.age`).write('planted')
    return none
  },
}

export const kindsOf = ({ serviceType }: VerificationSubject): [ArtifactKind, ...ArtifactKind[]] =>
  serviceType === 'DATABASE' ? ['dump'] : ['archive', 'file-list']

const flip =
  (kind: ArtifactKind, at: number): Corruption =>
  async (scene) => {
    await artifact(scene, kind).flip(at)
    return none
  }

const genuine = ({ coffer, subject }: Scene): Manifest => decodeManifest(coffer.secrets, subject.manifest)
const macOf = (scene: Scene) => genuine(scene).mac

const unsigned = ({ coffer, subject }: Scene) => unsignedManifest(coffer, subject)

function miscounted(scene: Scene): Manifest['contents'] {
  const { contents } = genuine(scene)
  if (contents.kind === 'media') return { ...contents, files: contents.files + 1 }
  return {
    ...contents,
    tables: contents.tables.map((table, index) => ({ ...table, rows: table.rows + (index === 0 ? 1 : 0) })),
  }
}

const resigned = (scene: Scene) =>
  encodeManifest(scene.coffer.secrets, { ...unsigned(scene), contents: miscounted(scene) })

/** Another artifact of the same kind, whole in itself and stored in as many bytes: one hex digit of what it holds is another. */
async function twinOf(scene: Scene, kind: ArtifactKind): Promise<Buffer> {
  const { coffer, subject } = scene
  const record = subject.artifacts.find((one) => one.kind === kind) as ArtifactRecord
  const plain = await wholeOf(readArtifact({ store: coffer.store, record, identities: [coffer.identity] }))
  const recipients = genuine(scene).recipients
  const place = digitIn(plain, kind)
  // One that has its size lies hardly ever beyond the second.
  for (let next = 0; next < 64; next++) {
    const changed = Buffer.from(plain)
    changed.write((next % 16).toString(16), place + Math.floor(next / 16), 'latin1')
    if (changed.equals(plain)) continue
    const source = (async function* () {
      yield await Promise.resolve(changed)
    })()
    const key = `twins/${kind}`
    const twin = await writeArtifact({ store: coffer.store, key, kind, source, recipients })
    const bytes = await fileOf(coffer, key).read()
    await coffer.store.delete(key)
    if (twin.record.stored_size === record.stored_size) return bytes
  }
  throw new Error(`no twin of the ${kind} has its size`)
}

/** Where a hex digit lies: in the value of a row, in the content of a file, in the hash of a line. */
function digitIn(plain: Buffer, kind: ArtifactKind): number {
  const text = plain.toString('latin1')
  const found =
    kind === 'file-list'
      ? /"sha256":"/.exec(text)
      : kind === 'dump'
        ? /\t(?=[\da-f]{128}\n)/.exec(text)
        : /(?=[\da-f]{8}-[\da-f]{4}-4)/.exec(text)
  if (!found) throw new Error(`the ${kind} has no hex digits`)
  return found.index + found[0].length + 3
}

async function wholeOf(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}
