import type { Planted } from './planted-archives.ts'

/** Archives that would write outside of their root, or break what is in it; each is given a folder outside. */
export const ATTACKS: [string, (outside: string) => Planted[]][] = [
  ['a path with ..', () => [{ path: '../outside/canary', content: 'owned' }]],
  [
    'a path with .. inside',
    () => [
      { path: 'a', type: 'directory' },
      { path: 'a/../../../outside/x', content: 'owned' },
    ],
  ],
  ['an absolute path', (outside) => [{ path: `${outside}/x`, content: 'owned' }]],
  ['a path with an empty component', () => [{ path: 'a//b', content: 'owned' }]],
  ['a path that is a dot', () => [{ path: '.', type: 'directory', mode: 0o777 }]],
  ['an empty path', () => [{ path: '', content: 'owned' }]],
  ['a folder named ..', () => [{ path: '..', type: 'directory', mode: 0o777 }]],
  [
    'writing through a symlink',
    (outside) => [
      { path: 'link', type: 'symlink', link: outside },
      { path: 'link/canary', content: 'owned' },
    ],
  ],
  [
    'a symlink in place of a folder',
    (outside) => [
      { path: 'a', type: 'directory' },
      { path: 'a', type: 'symlink', link: outside },
      { path: 'a/canary', content: 'owned' },
    ],
  ],
  [
    'a folder below a symlink',
    (outside) => [
      { path: 'link', type: 'symlink', link: outside },
      { path: 'link/made', type: 'directory' },
    ],
  ],
  [
    'a symlink below a symlink',
    (outside) => [
      { path: 'link', type: 'symlink', link: outside },
      { path: 'link/made', type: 'symlink', link: 'x' },
    ],
  ],
  [
    "a folder's attributes put on what a symlink points to",
    (outside) => [
      { path: 'link', type: 'symlink', link: outside },
      { path: 'link', type: 'directory', mode: 0o777 },
    ],
  ],
  ['a hard link to a file outside', (outside) => [{ path: 'linked', type: 'hardlink', link: `${outside}/canary` }]],
  ['a hard link out by ..', () => [{ path: 'linked', type: 'hardlink', link: '../../outside/canary' }]],
  [
    'a hard link through a symlink',
    (outside) => [
      { path: 'link', type: 'symlink', link: outside },
      { path: 'linked', type: 'hardlink', link: 'link/canary' },
    ],
  ],
  [
    'a hard link to a symlink',
    (outside) => [
      { path: 'link', type: 'symlink', link: `${outside}/canary` },
      { path: 'linked', type: 'hardlink', link: 'link' },
    ],
  ],
  ['a hard link to nothing', () => [{ path: 'linked', type: 'hardlink', link: 'none' }]],
  [
    'a hard link to a folder',
    () => [
      { path: 'a', type: 'directory' },
      { path: 'b', type: 'hardlink', link: 'a' },
    ],
  ],
  [
    'a name twice',
    () => [
      { path: 'a', content: '1' },
      { path: 'a', content: '2' },
    ],
  ],
  [
    'a folder twice',
    () => [
      { path: 'a', type: 'directory' },
      { path: 'a', type: 'directory' },
    ],
  ],
  [
    'a file in a file',
    () => [
      { path: 'a', content: '1' },
      { path: 'a/b', content: '2' },
    ],
  ],
  ['a file in no folder', () => [{ path: 'a/b', content: '2' }]],
  ['a symlink in no folder', () => [{ path: 'a/b', type: 'symlink', link: 'x' }]],
]
