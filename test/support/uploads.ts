import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { expect } from 'vitest'
import { systemClock, type Clock } from '../../shared/clock.ts'
import { loadProducerConfig } from '../../shared/config.ts'
import { openLog } from '../../shared/log.ts'
import { startProducer } from '../../producer/start.ts'
import { askProducer, type Answer, type Ask } from './producer.ts'
import type { TestCoffer } from './coffer.ts'

export interface UploadPart {
  handler: string
  upload_parameters: { url: string; http_method: string; max_file_size: number }
  finish_url: string
}

/** Of every producer, so that several over one catalog have the same. */
const ADMIN_TOKEN = 'an-admin-token-of-a-test-0123456789'

/** A real producer in this process, over a whole Coffer. */
export interface CofferProducer extends AsyncDisposable {
  url: string
  adminToken: string
  ask(method: string, path: string, ask?: Ask): Promise<Answer>
  /** Asks for an upload to these service instances. @returns the backup, and the links in the order of the services */
  request(services: string[], more?: Record<string, unknown>): Promise<{ backup: string; parts: UploadPart[] }>
}

export async function startProducerOf(
  coffer: TestCoffer,
  { env = {}, clock = systemClock }: { env?: Record<string, string>; clock?: Clock } = {},
): Promise<CofferProducer> {
  const adminToken = ADMIN_TOKEN
  const config = loadProducerConfig({ ...coffer.env, PORT: '0', COFFER_ADMIN_TOKEN: adminToken, ...env })
  const producer = await startProducer(config, openLog('producer', 'silent'), clock)
  const ask: CofferProducer['ask'] = (method, path, options) =>
    askProducer(producer.url, adminToken, method, path, options)
  return {
    url: producer.url,
    adminToken,
    ask,
    async request(services, more = {}) {
      const body = { environment: coffer.environmentId, services, ...more }
      const answer = await ask('POST', '/apps/v3/backups/upload/', { body })
      if (answer.status !== 201) throw new Error(answer.text)
      const results = answer.body['results'] as unknown as Record<string, UploadPart>
      return { backup: answer.body.uuid, parts: services.map((service) => results[service] as UploadPart) }
    },
    [Symbol.asyncDispose]: () => producer.close(),
  }
}

export async function send(
  part: UploadPart,
  bytes: Buffer,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(part.upload_parameters.url, { method: part.upload_parameters.http_method, body: bytes })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** The beginning of a body: the caller writes and ends it. */
export function startPut(part: UploadPart, length: number | null) {
  const request = httpRequest(part.upload_parameters.url, {
    method: 'PUT',
    headers: length === null ? {} : { 'content-length': length },
  })
  const answered = once(request, 'response').then(
    ([response]: unknown[]) => {
      const answer = response as IncomingMessage
      answer.resume()
      return answer
    },
    () => null,
  )
  return { request, answered }
}

export async function finish(part: UploadPart): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(part.finish_url, { method: 'POST' })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

/** Registered, but never read: an upload asks nothing of the source. */
export async function services(coffer: TestCoffer): Promise<{ database: string; storage: string }> {
  const prefix = `P${randomBytes(4).toString('hex').toUpperCase()}`
  return {
    database: await coffer.addService('DATABASE', 'postgres://nobody@127.0.0.1:1/nothing', prefix),
    storage: await coffer.addService('STORAGE', (await coffer.mediaRoot('never')).url, prefix),
  }
}

export async function upload(producer: CofferProducer, service: string, bytes: Buffer): Promise<string> {
  const { backup, parts } = await producer.request([service])
  const [part] = parts
  if (!part) throw new Error('no link')
  expect(await send(part, bytes)).toMatchObject({ status: 200 })
  expect(await finish(part)).toMatchObject({ status: 200 })
  return backup
}

/** Of the backup itself, and what is staged for it. */
export async function objectsOf(coffer: TestCoffer, backup: string): Promise<string[]> {
  const ids = [backup, ...(await coffer.parts(backup)).map(({ uuid }) => uuid)]
  return (await coffer.objects()).filter((key) => ids.some((id) => key.includes(id)))
}

export const stagedOf = async (coffer: TestCoffer, backup: string) =>
  (await objectsOf(coffer, backup)).filter((key) => key.startsWith('uploads/'))
