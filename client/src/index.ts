import { CofferProblem } from './errors.ts'
import { follow, type Wait } from './follow.ts'
import { Http, type Options } from './http.ts'
import type { components, operations } from './schema.ts'

export { CofferProblem, CofferUnreachable, type Code, type Problem } from './errors.ts'
export type { Options } from './http.ts'
export type { Wait } from './follow.ts'
export type { components, operations, paths } from './schema.ts'

type Schemas = components['schemas']
export type Backup = Schemas['Backup']
/** With its service-instance backups, as its events carry it. */
export type WatchedBackup = Backup & Partial<Schemas['WatchedBackup']>
export type Restore = Schemas['Restore']
export type Latest = Schemas['Latest']
export type DownloadItem = Schemas['DownloadItem']

type BodyOf<Operation extends keyof operations> = operations[Operation] extends {
  requestBody: { content: { 'application/json': infer Body } }
}
  ? Body
  : never

interface Once {
  /** Default: a new one. The same key within 24 hours makes nothing new. */
  idempotencyKey?: string
  signal?: AbortSignal
}

/** `environment`: a uuid, or `application/environment` by their slugs. */
export interface BackupRequest extends Once {
  environment: string
  services?: string[]
  notes?: string
  /** Deleted then, whatever the plan says. */
  deleteAt?: Date
}

export type RestoreRequest = BodyOf<'post-backup-restores'> & Once

const API = '/apps/v3/'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Something that takes a while. */
export interface Job<State> {
  readonly uuid: string
  /** As it was when it was asked for. */
  readonly started: State
  /** Resolves with what it is when it has ended, however: look at `success`. @throws CofferProblem; the reason of the signal */
  wait(options?: Wait<State>): Promise<State>
}

/** Asks a Coffer for backups and restores. */
export class Coffer {
  private readonly http: Http

  constructor(options: Options) {
    this.http = new Http(options)
  }

  /** @throws CofferProblem, CofferUnreachable */
  async backup({
    environment,
    services,
    notes,
    deleteAt,
    idempotencyKey,
    signal,
  }: BackupRequest): Promise<Job<WatchedBackup>> {
    const body: BodyOf<'post-backups'> = {
      environment: await this.environmentId(environment),
      ...(services && { services }),
      ...(notes !== undefined && { notes }),
      ...(deleteAt && { scheduled_for_deletion_at: deleteAt.toISOString() }),
    }
    const started = await this.http.create<Backup>(`${API}backups/`, body, idempotencyKey, signal)
    return this.job<WatchedBackup>(`${API}backups/`, started, ({ state }) => !['QUEUED', 'RUNNING'].includes(state))
  }

  /** @throws CofferProblem, CofferUnreachable */
  async restore({ idempotencyKey, signal, ...body }: RestoreRequest): Promise<Job<Restore>> {
    const started = await this.http.create<Restore>(`${API}backup-restores/`, body, idempotencyKey, signal)
    return this.job(`${API}backup-restores/`, started, ({ finished }) => finished)
  }

  /** Links to the artifacts of a backup; they need no token, and work for a while. @throws CofferProblem, CofferUnreachable */
  async download(backup: string, { idempotencyKey, signal }: Once = {}): Promise<DownloadItem[]> {
    const { uuid } = await this.http.create<{ uuid: string }>(
      `${API}backup-downloads/`,
      { backup },
      idempotencyKey,
      signal,
    )
    const path = `${API}backup-download-service-instances/?backup=${uuid}&page_size=1000`
    return (await this.http.json<{ results: DownloadItem[] }>(path, { signal })).results
  }

  /** The newest good backup of an environment, and of each of its service instances; null: there is none. */
  async latest(environment: string): Promise<Latest | null> {
    const id = await this.environmentId(environment)
    try {
      return await this.http.json<Latest>(`${API}environments/${id}/latest/`)
    } catch (error) {
      if (error instanceof CofferProblem && error.code === 'NOT_FOUND') return null
      throw error
    }
  }

  private job<State extends { uuid: string }>(
    all: string,
    started: State,
    hasEnded: (state: State) => boolean,
  ): Job<State> {
    const { uuid } = started
    return {
      uuid,
      started,
      wait: (options = {}) => follow(this.http, { ...options, path: `${all}${uuid}/`, hasEnded }),
    }
  }

  private async environmentId(named: string): Promise<string> {
    if (UUID.test(named)) return named
    const [application = '', environment = ''] = named.split('/')
    const app = await this.only(`applications/?slug=${encodeURIComponent(application)}`, `application ${application}`)
    return this.only(`environments/?application=${app}&slug=${encodeURIComponent(environment)}`, `environment ${named}`)
  }

  private async only(path: string, what: string): Promise<string> {
    const { results } = await this.http.json<{ results: { uuid: string }[] }>(API + path)
    const [first, second] = results
    if (first && !second) return first.uuid
    const detail = first ? `more than one ${what}; name it by its uuid` : `there is no ${what}`
    const [code, status, title] = first
      ? (['CONFLICT', 409, 'Conflict'] as const)
      : (['NOT_FOUND', 404, 'Not Found'] as const)
    const remedy = 'list the resource to see what exists'
    throw new CofferProblem({ type: `urn:coffer:error:${code}`, title, status, code, detail, remedy, request_id: '' })
  }
}
