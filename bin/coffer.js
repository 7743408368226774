#!/usr/bin/env node
// Plain JavaScript for whatever Node the machine has: it hands over to the Node of the checkout.
import { existsSync } from 'node:fs'
import { ownNode, runOwnNode } from '../scripts/own-node.js'

if (existsSync(ownNode)) {
  process.exitCode = await runOwnNode('cli/main.ts', process.argv.slice(2))
} else {
  console.error('coffer: the dependencies are not installed; run npm ci in the checkout (npm run up does it too)')
  process.exitCode = 1
}
