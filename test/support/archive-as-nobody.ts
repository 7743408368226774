import { archive } from './media-archives.ts'

// Everything is imported before the rights are given up: the checkout may lie where nobody can't read.
const [root = ''] = process.argv.slice(2)
process.setgroups?.([])
process.setgid?.(65_534)
process.setuid?.(65_534)
const { entries, contents, unreadable } = await archive(root)
process.stdout.write(JSON.stringify({ entries, contents, unreadable }))
