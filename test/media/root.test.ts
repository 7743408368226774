import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { resolveMediaRoot } from '../../shared/media/root.ts'
import { scratch } from '../support/media-archives.ts'

/** data/ (Coffer's own, with media/ and store/ in it), srv/media, srv/key, and links to some of them. */
function makePlaces() {
  const place = scratch()
  const base = fs.realpathSync(place.path)
  for (const folder of ['data/media/app', 'data/store', 'srv/media', 'srv-other']) {
    fs.mkdirSync(`${base}/${folder}`, { recursive: true })
  }
  fs.writeFileSync(`${base}/srv/key`, '')
  fs.symlinkSync(`${base}/data`, `${base}/srv/to-data`)
  fs.symlinkSync(`${base}/data/media`, `${base}/to-media`)
  const allowed = (...folders: string[]) => ({
    allowedRoots: folders.map((folder) => `${base}/${folder}`),
    forbidden: ['data', 'data/store', 'srv/key', 'not/yet'].map((path) => `${base}/${path}`),
  })
  return { ...place, base, allowed, url: (path: string) => pathToFileURL(`${base}/${path}`).href }
}

test.each([
  ['an allowed root itself', 'srv/media', ['srv/media'], 'srv/media'],
  ['a folder under an allowed root', 'srv/media', ['.', 'srv'], 'srv/media'],
  ["the data folder's own media folder", 'data/media', ['data/media'], 'data/media'],
  ["a folder under the data folder's own media folder", 'data/media/app', ['data/media'], 'data/media/app'],
  ['a symlink to an allowed root, by its real path', 'to-media', ['data/media'], 'data/media'],
  ['a folder under an allowed root that is a symlink', 'data/media/app', ['to-media'], 'data/media/app'],
])('%s is accepted', async (_, path, roots, real) => {
  await using places = makePlaces()
  const { base, allowed, url } = places
  expect(await resolveMediaRoot(url(path), allowed(...roots))).toBe(`${base}/${real}`)
})

test.each([
  ['a folder under no allowed root', 'srv-other', ['srv'], 'allowed root'],
  ['any folder where none is allowed', 'srv/media', [], 'allowed root'],
  ['the data folder', 'data', ['.'], 'lies under'],
  ['a symlink to the data folder', 'srv/to-data', ['.', 'srv'], 'lies under'],
  ['a store', 'data/store', ['data'], 'lies under'],
  ['a store that is listed as an allowed root', 'data/store', ['data/store'], 'lies under'],
  ["the data folder's media folder, where only a folder above is allowed", 'data/media', ['.'], 'lies under'],
  ['a folder with a key file in it', 'srv', ['srv'], 'contains'],
  ['a folder above the data folder', '.', ['.'], 'contains'],
])('%s is CONNECTION_REFUSED_BY_POLICY', async (_, path, roots, why) => {
  await using places = makePlaces()
  const { allowed, url } = places
  const answer = resolveMediaRoot(url(path), allowed(...roots))
  await expect(answer).rejects.toMatchObject({ code: 'CONNECTION_REFUSED_BY_POLICY' })
  await expect(answer).rejects.toThrow(why)
})

test.each([
  ['a folder that does not exist', 'srv/none'],
  ['a file', 'srv/key'],
  ['a path through a file', 'srv/key/below'],
])('%s is MEDIA_ROOT_MISSING', async (_, path) => {
  await using places = makePlaces()
  const { allowed, url } = places
  await expect(resolveMediaRoot(url(path), allowed('.'))).rejects.toMatchObject({ code: 'MEDIA_ROOT_MISSING' })
})

test.each([
  '/srv/media',
  's3://bucket/x',
  'file://host/srv',
  'file:///srv%2fmedia',
  'file:///srv?x=1',
  'file:///srv#x',
])('%s is CONNECTION_INVALID', async (url) => {
  const answer = resolveMediaRoot(url, { allowedRoots: ['/'], forbidden: [] })
  await expect(answer).rejects.toMatchObject({ code: 'CONNECTION_INVALID' })
})
