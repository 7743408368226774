import { expect, test } from 'vitest'
import { differences } from '../../cli/difference.ts'

test('equal documents have no differences, whatever the order of their fields, and an absent field equals null', () => {
  expect(differences({ a: 1, b: [{ name: 'x', c: 2 }] }, { b: [{ c: 2, name: 'x' }], a: 1, d: null })).toEqual([])
})

test('every value that differs is named by its path, items of a list by their name or label', () => {
  const before = {
    name: 'N',
    tiers: [{ label: 'daily', keep: 7 }],
    rules: [{ name: 'night', from: '01:00' }],
    list: [1],
  }
  const after = {
    name: 'N',
    tiers: [{ label: 'daily', keep: 14 }],
    rules: [{ name: 'day', from: '01:00' }],
    list: [1, 2],
  }
  expect(differences(before, after)).toEqual([
    'tiers.daily.keep: 7 -> 14',
    'rules.night.name: "night" -> none',
    'rules.night.from: "01:00" -> none',
    'rules.day.name: none -> "day"',
    'rules.day.from: none -> "01:00"',
    'list.1: none -> 2',
  ])
})

test('of something new, every value differs', () => {
  expect(differences(undefined, { slug: 's', keep: { days: 3 } })).toEqual([
    'slug: none -> "s"',
    'keep.days: none -> 3',
  ])
})
