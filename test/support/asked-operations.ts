import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { Command } from 'commander'
import { generate } from 'selfsigned'
import { OPEN_ROUTES } from '../../relay/api/open-routes.ts'
import { API_PREFIX, RouteTable, routesOf } from '../../relay/api/routes.ts'
import { STREAM_ROUTES } from '../../relay/api/stream-routes.ts'
import { OPERATIONS } from '../../relay/operations/list.ts'
import { loginDirectory, writeLogin } from '../../shared/cli/remote-login.ts'
import { controlPath } from '../../shared/control/path.ts'
import { serveControl } from '../../shared/control/serve.ts'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'

/**
 * A program of its own, because commands set the exit status and end the process: runs command lines against a relay that notes
 * what it is asked for and refuses it, once over the control channel and once over the API. What it was asked goes to the parent.
 */

/** A command line to be run. */
export interface Line {
  /** Words behind `sallyport`; DIR is a directory with the files `settings.json`, `secret` and `declared.toml`. */
  readonly words: string
  /** What stands on standard input; URL is the relay. */
  readonly input?: string
  /** False: a command that knows no relay of this machine, or no other one. */
  readonly isHere: boolean
  readonly isRemote: boolean
}

/** What a line asked first, over each channel; undefined where it asked nothing. */
export interface Asked {
  readonly here?: string
  readonly remote?: string
}

/** The modules with commands of the relay's side. */
const MODULES = [
  import('../../relay/commands.ts'),
  import('../../relay/audit-commands.ts'),
  import('../../relay/declare-commands.ts'),
  import('../../relay/login-commands.ts'),
  import('../../relay/logout-commands.ts'),
  import('../../relay/set-password-commands.ts'),
  import('../../relay/account-commands.ts'),
]

/** A program with every command of the relay's side. */
export async function relayProgram(): Promise<Command> {
  const program = new Command('sallyport').exitOverride()
  for (const { register } of await Promise.all(MODULES)) register(program)
  return program
}

async function serveApi(note: (name: string) => void) {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'relay' }], {
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
    ],
  })
  const routes = new RouteTable(
    routesOf({ operations: OPERATIONS, open: OPEN_ROUTES, streams: STREAM_ROUTES }),
  )
  const server = createServer({ key, cert }, (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    note(routes.find(request.method ?? '', path.slice(API_PREFIX.length)).route.definition.name)
    response.writeHead(404, { 'content-type': 'application/problem+json', connection: 'close' })
    response.end(JSON.stringify({ code: 'NOT_FOUND', detail: 'noted', next: '' }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { ca: cert, port: (server.address() as AddressInfo).port }
}

async function run(words: readonly string[], input: string): Promise<void> {
  Object.defineProperty(process, 'stdin', { value: Readable.from([Buffer.from(input)]), configurable: true })
  await (await relayProgram()).parseAsync(words, { from: 'user' })
}

async function askAll(lines: readonly Line[]): Promise<Asked[]> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-asked-'))
  process.env.XDG_CONFIG_HOME = directory
  const rules = [{ claim: 'role', value: 'x', role: 'auditor' }]
  const settings = { kind: 'oidc', issuer: 'https://idp.example', clientId: 'x', rules }
  await writeFile(join(directory, 'settings.json'), JSON.stringify(settings))
  await writeFile(join(directory, 'declared.toml'), 'version = 1\n[tenants.default]\nfreezes = []\n')
  await writeFile(join(directory, 'secret'), 'a secret of some length', { mode: 0o600 })
  let noted: string[] = []
  const note = (name: string) => void noted.push(name)
  const handlers = OPERATIONS.map(({ name }) => {
    const refuse = async () => {
      note(name)
      throw new TunnelError('NOT_FOUND', 'noted')
    }
    return [name, refuse] as const
  })
  const { signal } = new AbortController()
  await serveControl(controlPath(directory), Object.fromEntries(handlers), { signal })
  const { ca, port } = await serveApi(note)
  const url = `https://127.0.0.1:${port}`
  const login = { address: { host: '127.0.0.1', port }, token: new Secret('token'), ca }
  const all: Asked[] = []
  for (const { words, input = '', isHere, isRemote } of lines) {
    const line = words.replaceAll('DIR', directory).split(' ')
    const first = async (more: readonly string[]) => {
      noted = []
      await writeLogin(loginDirectory(process.env), login)
      await run([...line, ...more], input.replaceAll('URL', url))
      return noted[0]
    }
    const here = isHere ? await first(['--data', directory]) : undefined
    const isNamed = words.startsWith('set-password')
    const ending = words.startsWith('login') || isNamed ? ['--ca', join(directory, 'ca.pem')] : []
    await writeFile(join(directory, 'ca.pem'), ca)
    const remote = isRemote ? await first([...(isNamed ? [] : ['--relay', url]), ...ending]) : undefined
    all.push({ ...(here && { here }), ...(remote && { remote }) })
  }
  await rm(directory, { recursive: true, force: true })
  return all
}

if (import.meta.main) {
  const end = process.exit.bind(process)
  process.exit = (() => undefined) as typeof process.exit
  process.on('message', (lines: readonly Line[]) => {
    void askAll(lines).then(
      (all) => process.send?.({ all }, () => end(0)),
      (error: unknown) => process.send?.({ error: String(error) }, () => end(1)),
    )
  })
}
