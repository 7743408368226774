import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scratch } from '../support/media-archives.ts'
import { startInChild } from '../support/media-restore-child.ts'
import type { StoredMedia } from '../support/media-restores.ts'
import { storeMedia } from '../support/stored-media.ts'

const place = scratch()
afterAll(() => place[Symbol.asyncDispose]())

const PATHS = ['a/file', 'b/file', 'c/file']

function write(root: string, path: string, content: string): void {
  fs.mkdirSync(`${root}/${path}`.replace(/\/[^/]*$/, ''), { recursive: true })
  fs.writeFileSync(`${root}/${path}`, content)
}

let media: StoredMedia
beforeAll(async () => {
  for (const path of PATHS) write(`${place.path}/in`, path, 'new')
  media = await storeMedia(`${place.path}/in`, place.path)
})

function livingTree() {
  const parent = fs.mkdtempSync(`${place.path}/parent-`)
  const root = `${parent}/root`
  for (const path of PATHS) write(root, path, 'old')
  const common = { media, root, id: randomUUID(), paths: PATHS }
  const state = () =>
    PATHS.map((path) => fs.existsSync(`${root}/${path}`) && fs.readFileSync(`${root}/${path}`, 'utf8'))
  return { parent, root, common, state }
}

describe('a worker that froze while it moved entries, and thaws when another has taken over', () => {
  const cases: [first: string, second: string][] = [
    ['media-journal-committed#1', 'media-old-aside#2'],
    ['media-old-aside#1', 'media-new-in#2'],
    ['media-old-aside#1', 'media-new-in#3'],
    ['media-new-in#2', 'media-new-in#1'],
    ['media-new-in#3', 'media-rolled#1'],
  ]
  test.each(cases)('at %s, the other being at %s, touches nothing', async (first, second) => {
    const { parent, common, state } = livingTree()
    using frozen = startInChild({ ...common, verb: 'restore', stopAt: [first] })
    await frozen.frozenAt(first)
    using successor = startInChild({ ...common, verb: 'recover', stopAt: [second] })
    await successor.frozenAt(second)
    const before = state()
    frozen.goOn()
    expect(await frozen.ended()).toContain('RUN_FENCED')
    expect(state()).toEqual(before)
    successor.goOn()
    expect(await successor.ended()).toContain('restored')
    expect(state()).toEqual(['new', 'new', 'new'])
    expect(fs.readdirSync(parent)).toEqual(['root'])
  })

  test.each(cases)('at %s, the other having ended, touches nothing', async (first) => {
    const { parent, common, state } = livingTree()
    using frozen = startInChild({ ...common, verb: 'restore', stopAt: [first] })
    await frozen.frozenAt(first)
    using successor = startInChild({ ...common, verb: 'recover' })
    expect(await successor.ended()).toContain('restored')
    frozen.goOn()
    expect(await frozen.ended()).toContain('RUN_FENCED')
    expect(state()).toEqual(['new', 'new', 'new'])
    expect(fs.readdirSync(parent)).toEqual(['root'])
  })

  test.each(['media-new-out#1', 'media-old-back#1'])('at %s of its undoing, touches nothing', async (step) => {
    const { parent, root, common, state } = livingTree()
    using frozen = startInChild({ ...common, verb: 'restore', stopAt: ['media-new-in#1', step] })
    await frozen.frozenAt('media-new-in#1')
    fs.rmSync(`${root}/c`, { recursive: true })
    frozen.goOn()
    await frozen.frozenAt(step)
    write(root, 'c/file', 'old')
    using successor = startInChild({ ...common, verb: 'recover' })
    expect(await successor.ended()).toContain('restored')
    frozen.goOn()
    expect(await frozen.ended()).toContain('RUN_FENCED')
    expect(state()).toEqual(['new', 'new', 'new'])
    expect(fs.readdirSync(parent)).toEqual(['root'])
  })
})
