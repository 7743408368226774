import { expect, test } from 'vitest'
import { coffer, serve, TOKEN } from './support.ts'

const STORES = ['first', 'second'].map((name) => ({ uuid: name, name, url: `file:///srv/${name}` }))
const FOUND = { objects: 3, backups: 1, unowned: [], unowned_count: 0, lost: [], found: [] }
const AWAY = {
  title: 'Unavailable',
  status: 503,
  code: 'STORE_UNREACHABLE',
  detail: 'it is away',
  remedy: 'look at it',
}

/** A producer some of whose stores are away. */
const producer = (away: string[]) =>
  serve(({ url = '' }, response) => {
    const isAway = away.some((name) => url.includes(`/${name}/`))
    const body = url.includes('/check/') ? (isAway ? AWAY : FOUND) : { next: null, results: STORES }
    const type = isAway ? 'application/problem+json' : 'application/json'
    response.writeHead(isAway ? 503 : 200, { 'content-type': type }).end(JSON.stringify(body))
  })

test('what was found in one store is told, though another is away', async () => {
  const url = await producer(['second'])
  const checked = await coffer(['catalog', 'check'], { url, token: TOKEN })
  expect(checked.code).toBe(1)
  expect(checked.stdout).toContain('first: 3 objects, 1 service-instance backup')
  expect(checked.stdout).toMatch(/second: was not looked through\n {2}error: it is away\n {2}remedy: look at it/)
  const json = await coffer(['catalog', 'check', '--json'], { url, token: TOKEN })
  expect(JSON.parse(json.stdout)).toMatchObject([{ objects: 3 }, { code: 'STORE_UNREACHABLE' }])
})

test('where none can be looked through, that is the failure', async () => {
  const url = await producer(['first', 'second'])
  const checked = await coffer(['catalog', 'check'], { url, token: TOKEN })
  expect(checked).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('it is away') as string })
})
