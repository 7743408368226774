import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { createServer } from 'node:net'
import { expect } from 'vitest'

export const IS_ROOT = process.getuid?.() === 0

const at = (root: string, name: string | Buffer) => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)])
const NOT_UTF8 = Buffer.from([0x6e, 0xff, 0xfe, 0x21])

/** 4,000 bytes, the file's own name included. */
export const LONG_PATH = [
  ...Array.from({ length: 15 }, (_, depth) => String.fromCharCode(97 + depth).repeat(250)),
  'f'.repeat(235),
].join('/')

const NAMES: (string | Buffer)[] = [
  'plain.jpg',
  'new\nline',
  'm\n..\\evil',
  'n'.repeat(255),
  'é'.repeat(127),
  NOT_UTF8,
  Buffer.concat([Buffer.from('p'.repeat(120)), NOT_UTF8]),
  '-rf',
  'back\\slash',
  'c:thing',
  'trailing space ',
  ' leading space',
  'é-nfc'.normalize('NFC'),
  'é-nfc'.normalize('NFD'),
  'Twin',
  'twin',
  '\x1b[31mred\x1b[0m',
  '\u{feff}bom',
  '__proto__',
  '100=path=x',
  '%2e%2e',
  '*?[x]',
]

/** Every kind of name, file, link and time that a media folder may hold; what needs root is left out for others. */
export function makeZoo(root: string): void {
  fs.mkdirSync(root, { recursive: true })
  for (const [index, name] of NAMES.entries()) fs.writeFileSync(at(root, name), `content ${index}`)
  fs.mkdirSync(`${root}/${LONG_PATH.slice(0, LONG_PATH.lastIndexOf('/'))}`, { recursive: true })
  fs.writeFileSync(`${root}/${LONG_PATH}`, 'at the end of a long path')
  makeSizes(`${root}/sizes`)
  makeLinks(`${root}/links`)
  makeModes(`${root}/modes`)
  makeTimes(`${root}/times`)
  if (IS_ROOT) makeOwners(`${root}/owners`)
}

/** A FIFO, and as root devices: what an archive skips. The socket needs a server, see `makeSocket`. */
export function makeSpecials(root: string): void {
  execFileSync('mkfifo', [`${root}/fifo`])
  if (!IS_ROOT) return
  execFileSync('mknod', [`${root}/null`, 'c', '1', '3'])
  execFileSync('mknod', [`${root}/disk`, 'b', '7', '200'])
}

/** A Unix socket at the path; resolves to what closes it. */
export async function makeSocket(path: string): Promise<() => void> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return () => server.close()
}

function makeSizes(folder: string): void {
  fs.mkdirSync(`${folder}/empty folder`, { recursive: true })
  for (const size of [0, 1, 511, 512, 513, 131_071, 131_072, 131_073, 524_288, 1_300_001]) {
    fs.writeFileSync(
      `${folder}/${size}.bin`,
      createHash('shake128', { outputLength: size || 1 })
        .digest()
        .subarray(0, size),
    )
  }
  fs.writeFileSync(`${folder}/sparse`, '')
  fs.truncateSync(`${folder}/sparse`, 5_000_000)
}

function makeLinks(folder: string): void {
  fs.mkdirSync(`${folder}/below`, { recursive: true })
  fs.writeFileSync(`${folder}/first`, 'shared by three names')
  fs.linkSync(`${folder}/first`, `${folder}/second`)
  fs.linkSync(`${folder}/first`, `${folder}/below/third`)
  fs.writeFileSync(`${folder}/large`, Buffer.alloc(300_000, 'large'))
  fs.linkSync(`${folder}/large`, at(folder, NOT_UTF8))
  const targets: [string, string | Buffer][] = [
    ['relative', '../plain.jpg'],
    ['absolute', '/etc/passwd'],
    ['escape', '../../../../../../../../etc'],
    ['dangling', 'nowhere'],
    ['loop', 'loop'],
    ['folder', 'below'],
    ['up', '..'],
    ['long', 'x/'.repeat(200)],
    ['binary', NOT_UTF8],
    ['unicode', 'ünïcode'],
  ]
  for (const [name, target] of targets) fs.symlinkSync(target, `${folder}/${name}.link`)
}

function makeModes(folder: string): void {
  fs.mkdirSync(folder)
  for (const mode of [0o400, 0o600, 0o644, 0o755, 0o777, 0o4755, 0o2755]) {
    const path = `${folder}/${mode.toString(8)}`
    fs.writeFileSync(path, 'x')
    fs.chmodSync(path, mode)
  }
  for (const mode of [0o2775, 0o1777, 0o700, 0o555]) {
    const path = `${folder}/folder-${mode.toString(8)}`
    fs.mkdirSync(path)
    fs.writeFileSync(`${path}/inside`, 'x')
    fs.chmodSync(path, mode)
  }
}

function makeTimes(folder: string): void {
  fs.mkdirSync(folder)
  for (const time of ['1700000000.123456789', '1700000000', '0', '-1.5', '-86400', '0.000000001', '9000000000.5']) {
    fs.writeFileSync(`${folder}/${time}`, 'x')
    execFileSync('touch', ['-d', `@${time}`, `${folder}/${time}`])
  }
  fs.symlinkSync('nowhere', `${folder}/link`)
  execFileSync('touch', ['-h', '-d', '@1600000000.987654321', `${folder}/link`])
  execFileSync('touch', ['-d', '@1500000000.5', folder])
}

function makeOwners(folder: string): void {
  fs.mkdirSync(folder)
  for (const [name, uid, gid] of [
    ['file', 1234, 5678],
    ['large ids', 3_000_000, 4_000_000_000],
  ] as const) {
    fs.writeFileSync(`${folder}/${name}`, 'x')
    fs.chownSync(`${folder}/${name}`, uid, gid)
  }
  fs.symlinkSync('file', `${folder}/link`)
  fs.lchownSync(`${folder}/link`, 1234, 5678)
}

export interface Seen {
  type: 'file' | 'directory' | 'symlink' | 'other'
  mode: number
  size: number
  uid: number
  gid: number
  mtimeNs: bigint
  link: string | null
  sha256: string | null
  /** The first path, in order, of the same inode. */
  sameAs: string
}

/** Everything under a root by lstat and SHA-256, by path (latin1 of the raw bytes). */
export function look(root: string): Map<string, Seen> {
  const seen = new Map<string, Seen>()
  const inodes = new Map<bigint, string>()
  const visit = (folder: Buffer, prefix: string) => {
    const names = fs.readdirSync(folder, { encoding: 'buffer' }).map((name) => name.toString('latin1'))
    for (const name of names.sort()) {
      const path = Buffer.concat([folder, Buffer.from('/'), Buffer.from(name, 'latin1')])
      const stats = fs.lstatSync(path, { bigint: true })
      const type = stats.isFile()
        ? 'file'
        : stats.isDirectory()
          ? 'directory'
          : stats.isSymbolicLink()
            ? 'symlink'
            : 'other'
      const sameAs = inodes.get(stats.ino) ?? prefix + name
      inodes.set(stats.ino, sameAs)
      seen.set(prefix + name, {
        type,
        mode: Number(stats.mode & 0o7777n),
        size: type === 'directory' ? 0 : Number(stats.size),
        uid: Number(stats.uid),
        gid: Number(stats.gid),
        mtimeNs: stats.mtimeNs,
        link: type === 'symlink' ? fs.readlinkSync(path, { encoding: 'buffer' }).toString('latin1') : null,
        sha256: type === 'file' ? createHash('sha256').update(fs.readFileSync(path)).digest('hex') : null,
        sameAs,
      })
      if (type === 'directory') visit(path, `${prefix}${name}/`)
    }
  }
  visit(Buffer.from(root), '')
  return seen
}

/** What a restore promises: everything by lstat, times to a microsecond, no setuid or setgid on files. */
function promised(tree: Map<string, Seen>): Map<string, Seen> {
  return new Map(
    [...tree].map(([path, seen]) => {
      const mode = seen.type === 'file' ? seen.mode & 0o1777 : seen.mode
      return [path, { ...seen, mode, mtimeNs: 0n }]
    }),
  )
}

export function expectSameTree(after: Map<string, Seen>, before: Map<string, Seen>): void {
  expect(promised(after)).toEqual(promised(before))
  for (const [path, { mtimeNs }] of before) {
    const difference = Number((after.get(path)?.mtimeNs ?? 0n) - mtimeNs)
    expect(Math.abs(difference), path).toBeLessThan(1000)
  }
}
