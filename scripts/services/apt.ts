import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { CofferError } from '../../shared/errors.ts'

const CREATECLUSTER_DIR = '/etc/postgresql-common/createcluster.d'
const NO_MAIN_CLUSTER = `${CREATECLUSTER_DIR}/coffer-no-main-cluster.conf`

export function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/usr/bin/apt-get') && existsSync('/etc/debian_version')
}

/**
 * Installs Debian packages, saying so. None of those that Coffer asks for starts a service: postgresql would start only the
 * cluster that it makes by default, and is told not to make one; redis-tools has no service.
 */
export async function installPackages(packages: readonly string[], log: (line: string) => void): Promise<void> {
  log(`missing on this machine: installing ${packages.join(', ')} with apt-get`)
  if (packages.some((name) => name.startsWith('postgresql'))) {
    mkdirSync(CREATECLUSTER_DIR, { recursive: true })
    writeFileSync(NO_MAIN_CLUSTER, 'create_main_cluster = false\n')
  }
  try {
    const install = ['install', '--yes', '--no-install-recommends', ...packages]
    if ((await runApt(install, log)) === 0) return
    log('apt-get did not find them all: refreshing its lists')
    // A broken source of somebody else's makes an update fail; only the installation counts.
    await runApt(['update'], log)
    const status = await runApt(install, log)
    if (status === 0) return
    const command = `apt-get ${install.join(' ')}`
    throw new CofferError('CONFIG_INVALID', `${command} ended with ${status}; run it by hand to see why`)
  } finally {
    rmSync(NO_MAIN_CLUSTER, { force: true })
  }
}

function runApt(args: readonly string[], log: (line: string) => void): Promise<number> {
  const child = spawn('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0', ...args], {
    // In a group of its own: a Ctrl-C must not leave packages half-configured.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C', NEEDRESTART_SUSPEND: '1' },
  })
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => log(`  apt-get: ${line}`))
  }
  return new Promise((resolve, reject) => child.once('error', reject).once('close', (code) => resolve(code ?? 1)))
}
