import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const CHECKOUT = join(import.meta.dirname, '..')
const SOURCES = globSync('{bench,cli,client/src,producer,scripts,shared,test,workers}/**/*.ts', { cwd: CHECKOUT })

interface Import {
  file: string
  specifier: string
  /** Erased when the code runs: it couples the words, not the processes. */
  isType: boolean
}

const IMPORTS: Import[] = SOURCES.flatMap((file) => {
  const source = readFileSync(join(CHECKOUT, file), 'utf8')
  const found = source.matchAll(
    /^(?:import|export)( type)?\s(?:[\w\s{},*$]*\sfrom\s)?\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm,
  )
  return [...found].map(([, type, from, dynamic]) => ({
    file,
    specifier: from ?? dynamic ?? '',
    isType: type !== undefined,
  }))
})

/** What the files of a folder may never import, as paths inside the checkout. */
const FORBIDDEN: Record<string, RegExp> = {
  'shared/domain/': /^(?!shared\/domain\/)/,
  'shared/': /^(bench|cli|producer|scripts|test|workers)\//,
  'producer/': /^(bench|cli|scripts|test|workers)\//,
  'workers/': /^(bench|cli|producer|scripts|test)\//,
  'cli/': /^(bench|producer|scripts|test|workers)\//,
  'client/': /^(?!client\/)/,
}

test.each(Object.entries(FORBIDDEN))('%s imports only from its own side', (folder, forbidden) => {
  const bad = IMPORTS.filter(({ file, specifier }) => file.startsWith(folder) && specifier.startsWith('.'))
    .map(({ file, specifier }) => ({ file, target: normalize(join(dirname(file), specifier)) }))
    .filter(({ target }) => forbidden.test(target))
    .map(({ file, target }) => `${file} -> ${target}`)
  expect(bad).toEqual([])
})

test('shared/domain knows no package but the schema library', () => {
  const bad = IMPORTS.filter(({ file, specifier }) => file.startsWith('shared/domain/') && !specifier.startsWith('.'))
    .filter(({ specifier }) => specifier !== 'zod')
    .map(({ file, specifier }) => `${file} -> ${specifier}`)
  expect(bad).toEqual([])
})

/** Which files wrap the clients of Redis, object stores and PostgreSQL. Tests and services may use any. */
const CLIENTS: [packages: RegExp, wrappers: RegExp][] = [
  [/^ioredis$/, /^(shared\/queues|workers\/listen)\.ts$/],
  [/^bullmq$/, /^(shared\/queues|workers\/listen)\.ts$/],
  [/^@bull-board\//, /^producer\/board\.ts$/],
  [/^@(aws-sdk|smithy)\//, /^shared\/storage\/s3-[^/]+\.ts$/],
  [/^pg$/, /^shared\/(catalog\/(pg-[^/]+|database)|postgres\/[^/]+)\.ts$/],
  [/^nodemailer$/, /^shared\/notify\/mail\.ts$/],
  [/^node-pg-migrate$/, /^shared\/catalog\/migrate\.ts$/],
]

test.each(CLIENTS)('%s is imported only by the files that wrap it', (packages, wrappers) => {
  const bad = IMPORTS.filter(({ specifier, isType }) => packages.test(specifier) && !isType)
    .filter(({ file }) => !/^(test|bench|scripts\/(services|demo))\//.test(file) && !wrappers.test(file))
    .map(({ file, specifier }) => `${file} -> ${specifier}`)
  expect(bad).toEqual([])
})

test('no file of the source is longer than 300 lines', () => {
  // Nobody reads or writes what is generated.
  const written = SOURCES.filter((file) => file !== 'client/src/schema.ts')
  const long = written.map((file) => ({
    file,
    lines: readFileSync(join(CHECKOUT, file), 'utf8').split('\n').length - 1,
  }))
  expect(long.filter(({ lines }) => lines > 300)).toEqual([])
})
