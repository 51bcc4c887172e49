import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { eventually, within } from '../support/deadline.ts'
import { debianTree, tool } from './container.ts'
import { startOutside } from './outside.ts'
import { Steps } from './steps.ts'

/**
 * node test/service/wine.ts [--exe FILE --wrapper FILE] [--msi FILE]
 *
 * The Windows executable and its service under Wine, as far as that goes; docs/windows.md says what a person must try on a
 * real Windows. The files are those of out/executables where nothing is named (npm run package); with `--msi` the package
 * installs them. Needs root and debootstrap.
 */

const EXECUTABLES = join(import.meta.dirname, '../../out/executables')
const { values } = parseArgs({
  options: {
    exe: { type: 'string', default: join(EXECUTABLES, 'sallyport-agent-win-x64.exe') },
    wrapper: { type: 'string', default: join(EXECUTABLES, 'sallyport-service.exe') },
    msi: { type: 'string' },
  },
})

const COMMAND_MS = 120_000
/** How long Wine's manager of services is left alone after it refused, in ms. */
const WINE_PAUSE_MS = 5_000
const SERVICE = 'SallyportAgent'
const INSTALLED = 'C:\\Program Files\\Sallyport\\sallyport.exe'

const tree = await debianTree('trixie-wine', ['wine', 'wine64', 'ca-certificates'])
const work = await mkdtemp(join(tree, 'work-'))
/** The same directory as the programs inside see it. */
const inside = work.slice(tree.length)
const drive = join(work, 'prefix/drive_c')
const data = join(drive, 'ProgramData/Sallyport/agent')

/** Runs a program for Windows. Its output goes through a file: Node does not take a pipe of Linux from Wine. */
async function wine(...args: string[]): Promise<{ status: number; out: string }> {
  const path = join(work, 'output.txt')
  await using output = await open(path, 'w')
  const environment = {
    HOME: inside,
    XDG_RUNTIME_DIR: inside,
    WINEPREFIX: `${inside}/prefix`,
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: 'mscoree=;mshtml=',
    PATH: '/usr/bin:/bin:/usr/lib/wine',
  }
  const child = spawn('/usr/sbin/chroot', [tree, 'wine', ...args], {
    stdio: ['ignore', output.fd, output.fd],
    env: environment,
  })
  const [status] = await within(once(child, 'exit'), args.join(' '), COMMAND_MS)
  return { status: status as number, out: (await readFile(path, 'utf8')).replaceAll('\r', '') }
}

async function must(...args: string[]): Promise<string> {
  const { status, out } = await wine(...args)
  if (status !== 0) throw new Error(`${args.join(' ')}: status ${status}\n${out}`)
  return out
}

/** The number before the state, as `sc query` prints it: 1 stopped, 4 running. */
async function serviceState(): Promise<string> {
  const { out } = await wine('sc', 'query', SERVICE)
  return /STATE\s+: (\d)/.exec(out)?.[1] ?? 'none'
}

async function install(): Promise<string> {
  await must('wineboot', '-i')
  const folder = join(drive, 'Program Files/Sallyport')
  if (values.msi === undefined) {
    await mkdir(folder, { recursive: true })
    await copyFile(values.exe, join(folder, 'sallyport.exe'))
    await copyFile(values.wrapper, join(folder, 'sallyport-service.exe'))
  } else {
    await copyFile(values.msi, join(work, 'agent.msi'))
    await must('msiexec', '/i', `Z:${inside.replaceAll('/', '\\')}\\agent.msi`, '/qn')
    assert.ok(existsSync(join(folder, 'sallyport.exe')))
  }
  return (await must(INSTALLED, '--version')).trim()
}

async function checkService(): Promise<string> {
  const key = `HKLM\\SYSTEM\\CurrentControlSet\\Services\\${SERVICE}`
  const out = await must('reg', 'query', key)
  const value = (name: string) => new RegExp(`${name}\\s+REG_\\w+\\s+(.*)`).exec(out)?.[1] ?? ''
  assert.match(
    value('ImagePath'),
    /^"C:\\Program Files\\Sallyport\\sallyport-service\.exe" "C:\\Program Files\\/,
  )
  assert.equal(value('ObjectName'), `NT SERVICE\\${SERVICE}`)
  return 'quoted ImagePath, virtual account'
}

async function live(steps: Steps): Promise<void> {
  await using outside = await startOutside()
  if (!(await steps.step('install and run the executable', install))) return
  await steps.step('join ends with a running service', async () => {
    await writeFile(join(work, 'join'), await outside.joinString('windows'))
    const file = `Z:${inside.replaceAll('/', '\\')}\\join`
    const { out } = await wine(INSTALLED, 'agent', 'join', '--join-file', file)
    assert.match(out, /^joined as an agent/m)
    // The control manager of Wine is not always there at once: "Could not get handle to service", "database locked".
    let tries = 1
    const isRunning = async () => {
      if ((await serviceState()) === '4') return true
      tries++
      await new Promise((resolve) => setTimeout(resolve, WINE_PAUSE_MS))
      await wine('net', 'start', SERVICE)
      return false
    }
    await eventually(isRunning, 'the service runs', COMMAND_MS)
    await eventually(() => outside.isConnected('windows'), 'connected', 30_000)
    assert.equal(await serviceState(), '4')
    const undone = out.split('\n').filter((line) => line.startsWith('not done'))
    for (const line of undone) steps.skip('one call of the installation', `Wine has it not: ${line}`)
    return `connected, started at try ${tries}`
  })
  await steps.step('how the service stands in the registry', checkService)
  await steps.step('agent status by the named pipe', async () => {
    const [line = ''] = (await must(INSTALLED, 'agent', 'status')).split('\n')
    assert.match(line, /connected to/)
    return line
  })
  await steps.step('stopping drains', async () => {
    await must('net', 'stop', SERVICE)
    await eventually(async () => (await serviceState()) === '1', 'stopped', 30_000)
    assert.equal(await outside.isConnected('windows'), false)
    const log = await readFile(join(data, 'agent.log'), 'utf8')
    assert.equal(/killed/.test(log), false)
    return ''
  })
  await steps.step('starting again connects', async () => {
    await must('net', 'start', SERVICE)
    await eventually(() => outside.isConnected('windows'), 'connected', 30_000)
    return ''
  })
  await steps.step('an agent that is killed ends the service with an error', async () => {
    await must('taskkill', '/f', '/im', 'sallyport.exe')
    await eventually(async () => (await serviceState()) === '1', 'stopped', 30_000)
    const { out } = await wine('sc', 'query', SERVICE)
    assert.match(out, /WIN32_EXIT_CODE\s+: 1066/)
    return 'ERROR_SERVICE_SPECIFIC_ERROR'
  })
  await steps.step('uninstall', async () => {
    const out = await must(INSTALLED, 'agent', 'service', 'uninstall', '--purge')
    assert.equal(existsSync(data), false)
    return out
      .split('\n')
      .filter((line) => line.startsWith('  '))
      .map((line) => line.trim())
      .join(', ')
  })
  if (values.msi !== undefined) {
    await steps.step('the package goes', async () => {
      await must('msiexec', '/x', `Z:${inside.replaceAll('/', '\\')}\\agent.msi`, '/qn')
      await eventually(
        () => !existsSync(join(drive, 'Program Files/Sallyport/sallyport.exe')),
        'gone',
        30_000,
      )
      return ''
    })
  }
}

const steps = new Steps()
if (!existsSync(values.exe) || !existsSync(values.wrapper)) {
  process.stderr.write(
    'npm run package makes the files that are missing, or name them: --exe FILE --wrapper FILE\n',
  )
  process.exit(2)
}
const mounts = ['proc', 'dev'].map((name) => join(tree, name))
for (const path of mounts) await tool('mount', '--bind', `/${path.slice(tree.length + 1)}`, path)
try {
  await live(steps)
} finally {
  await wine('wineserver', '-k').catch(() => undefined)
  for (const path of mounts) await tool('umount', '-l', path)
  await rm(work, { recursive: true, force: true })
}
steps.skip('restart after failure', 'Wine has no recovery actions')
steps.skip('the event log', 'Wine keeps none that could be read back')
steps.skip('what the virtual account may and may not', 'under Wine every service is the same user')
steps.skip('access lists of the data directory', 'Wine takes them and does not apply them')
steps.skip('stop at the shutdown of Windows', 'Wine does not shut down')
if (values.msi === undefined) steps.skip('the MSI', 'no --msi was given')
process.exitCode = steps.close()
