import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Part, runPart, startPart } from './part.ts'

/** Addresses at this end of the path; the far end is .2 and ::2. */
export const NEAR = { v4: ['10.213.9.1', '10.213.9.5', '10.213.9.9'], v6: '2001:db8:9::1' } as const

/** A network namespace from which some of this end's addresses cannot be seen. Linux, root, nft. */
export interface DarkNetwork extends Disposable {
  /** Runs a command at the far end. */
  readonly far: readonly string[]
  /** Takes the place of all rules at the far end; nft's own language, for the chain of what goes out. */
  drop(rules: readonly string[]): void
  /** What names mean at the far end: one line of a hosts file each. */
  name(lines: readonly string[]): void
  /** Sets a kernel setting of the far end. */
  set(key: string, value: string): void
}

function ip(...args: string[]): void {
  execFileSync('ip', args)
}

/** Makes the path: packets cross it freely until `drop` says otherwise. */
export function startDarkNetwork(): DarkNetwork {
  const name = `sd${process.pid}`
  const inside = (...args: string[]) => execFileSync('ip', ['netns', 'exec', name, ...args])
  const names = join('/etc/netns', name)
  ip('netns', 'add', name)
  ip('link', 'add', `${name}n`, 'type', 'veth', 'peer', 'name', `${name}f`, 'netns', name)
  for (const address of NEAR.v4) ip('addr', 'add', `${address}/28`, 'dev', `${name}n`)
  ip('addr', 'add', `${NEAR.v6}/64`, 'dev', `${name}n`, 'nodad')
  ip('link', 'set', `${name}n`, 'up')
  inside('ip', 'addr', 'add', '10.213.9.2/28', 'dev', `${name}f`)
  inside('ip', 'addr', 'add', '2001:db8:9::2/64', 'dev', `${name}f`, 'nodad')
  inside('ip', 'link', 'set', `${name}f`, 'up')
  inside('ip', 'link', 'set', 'lo', 'up')
  mkdirSync(names, { recursive: true })
  return {
    far: ['ip', 'netns', 'exec', name],
    drop(rules) {
      const lines = rules.map((rule) => `    ${rule}\n`).join('')
      const chain = `chain out {\n    type filter hook output priority 0; policy accept;\n${lines}  }`
      const text = `table inet dark\ndelete table inet dark\ntable inet dark {\n  ${chain}\n}\n`
      execFileSync('ip', ['netns', 'exec', name, 'nft', '-f', '-'], { input: text })
    },
    name(lines) {
      writeFileSync(join(names, 'hosts'), `127.0.0.1 localhost\n${lines.join('\n')}\n`)
    },
    set: (key, value) => {
      inside('sysctl', '-q', '-w', `${key}=${value}`)
    },
    [Symbol.dispose]() {
      ip('netns', 'del', name)
      rmSync(names, { recursive: true, force: true })
    },
  }
}

/** A dark network with a relay at this end and, at the far end, an agent that has joined and does not run. */
export interface DarkSite extends AsyncDisposable {
  readonly dark: DarkNetwork
  /** Of the relay, whose name is relay.test. */
  readonly port: number
  /** The agent's data directory. */
  readonly data: string
}

/** @param address one of NEAR.v4, where the relay listens */
export async function startDarkSite(address: string): Promise<DarkSite> {
  const dark = startDarkNetwork()
  const root = await mkdtemp(join(tmpdir(), 'sallyport-dark-'))
  const relayData = join(root, 'relay')
  const flags = ['--listen', `${address}:0`, '--name', 'relay.test', '--data', relayData]
  const relay: Part = startPart(['relay', 'up', ...flags])
  const [, port] = /:(\d+)$/.exec(String((await relay.line()).address)) ?? []
  await relay.line()
  dark.name([`${address} relay.test`])
  const { joinString } = await runPart(['relay', 'join-token', 'berlin', '--data', relayData])
  const joinFile = join(root, 'join')
  await writeFile(joinFile, String(joinString), { mode: 0o600 })
  const data = join(root, 'agent')
  await runPart(['agent', 'join', '--no-service', '--join-file', joinFile, '--data', data], {
    prefix: dark.far,
  })
  return {
    dark,
    port: Number(port),
    data,
    async [Symbol.asyncDispose]() {
      await relay.end()
      dark[Symbol.dispose]()
      await rm(root, { recursive: true, force: true })
    },
  }
}
