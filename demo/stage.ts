import { join } from 'node:path'
import * as v from 'valibot'
import { parseListenAddress } from '../shared/cli/listen-address.ts'
import { writePrivateFile } from '../shared/config/private-file.ts'
import { callControl } from '../shared/control/call.ts'
import { controlPath } from '../shared/control/path.ts'
import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { readCredentials } from '../shared/identity/credentials.ts'
import type { HttpEndpoint } from './http-questions.ts'
import { createSallyport, type Running, type Sallyport } from './sallyport.ts'
import type { Scratch } from './scratch.ts'
import type { HttpService } from './services/http.ts'
import type { PostgresService } from './services/postgres.ts'
import type { SqlLogin } from './sql-questions.ts'

/** How the two services on site are started; the tests bring one that lies. */
export interface Services {
  startHttp(): Promise<HttpService>
  startPostgres(options: { signal: AbortSignal }): Promise<PostgresService>
}

export interface StageOptions {
  readonly services: Services
  readonly scratch: Scratch
  readonly signal: AbortSignal
  /** Says what is waited for where it takes long. */
  readonly progress: <T>(label: string, work: Promise<T>) => Promise<T>
}

/** All that runs, and how to reach it. */
export interface Stage {
  readonly relay: { readonly address: string; readonly data: string }
  readonly agent: { readonly data: string; readonly fingerprint: string }
  /** The services themselves, as only the site sees them. */
  readonly http: HttpService
  readonly sql: PostgresService
  /** The same through the tunnel, by local ports of a connector. */
  readonly httpForward: HttpEndpoint
  readonly sqlForward: SqlLogin
  /** The HTTP service by a host name at the relay. */
  readonly published: HttpEndpoint & { readonly caFile: string }
  /** For PGPASSFILE: the password of `sqlForward`, mode 0600. */
  readonly passwordFile: string
  /** Resolves when one of the processes ends by itself. */
  readonly ended: Promise<TunnelError>
}

/** The names that the demo gives. */
export const NAMES = {
  site: 'hq',
  web: 'hq/web',
  db: 'hq/db',
  connector: 'demo',
  host: 'web.localhost',
} as const

/** How often a new agent is asked whether it is connected, and for how long, in ms. */
const CONNECTED_POLL_MS = 25
const CONNECTED_MS = 15_000

const agentStatus = v.looseObject({ connected: v.boolean(), fingerprint: v.string() })

/**
 * Starts everything by the commands that its users type. `stack` ends it, in the order in which a tunnel is taken down:
 * connector, agent, relay, services.
 * @throws {TunnelError} what a command failed with
 */
export async function setUp(options: StageOptions, stack: AsyncDisposableStack): Promise<Stage> {
  const { scratch, progress } = options
  const over = new AbortController()
  const context: Context = {
    scratch,
    progress,
    signal: AbortSignal.any([options.signal, over.signal]),
    sallyport: createSallyport(scratch, AbortSignal.any([options.signal, over.signal])),
    relayData: join(scratch.directory, 'relay'),
    agentData: join(scratch.directory, 'agent'),
    services: stack.use(new AsyncDisposableStack()),
    relay: stack.use(new AsyncDisposableStack()),
    agent: stack.use(new AsyncDisposableStack()),
    connector: stack.use(new AsyncDisposableStack()),
  }
  // First of all, so that nothing new is started while the rest ends.
  stack.defer(() => over.abort(new TunnelError('CANCELLED')))
  const services = startServices(options.services, context)
  const relay = await progress('starting the relay', startRelay(context))
  const [site, connector] = await Promise.all([openSite(context, services), openConnector(context)])
  const { http, sql } = site
  const sqlForward = { ...connector.db, user: sql.user, password: sql.password, database: sql.database }
  return {
    relay: { address: relay.address, data: context.relayData },
    agent: { data: context.agentData, fingerprint: site.fingerprint },
    http,
    sql,
    httpForward: connector.web,
    sqlForward,
    published: { ...relay.endpoint, tls: { name: NAMES.host, ca: connector.ca }, caFile: connector.caFile },
    passwordFile: await writePasswordFile(scratch, sqlForward),
    ended: Promise.race([relay, site.agent, ...connector.forwards].map((one) => one.ended)),
  }
}

interface Context {
  readonly scratch: Scratch
  readonly progress: StageOptions['progress']
  readonly signal: AbortSignal
  readonly sallyport: Sallyport
  readonly relayData: string
  readonly agentData: string
  /** One stack for each party: they start side by side, but end in order. */
  readonly services: AsyncDisposableStack
  readonly relay: AsyncDisposableStack
  readonly agent: AsyncDisposableStack
  readonly connector: AsyncDisposableStack
}

interface RunningServices {
  readonly http: HttpService
  readonly sql: PostgresService
}

function startServices({ startHttp, startPostgres }: Services, context: Context): Promise<RunningServices> {
  const { services, signal } = context
  const http = startHttp()
  const sql = startPostgres({ signal })
  // Also where one of them is still starting when everything has to end.
  services.defer(async () => {
    const started = await Promise.allSettled([http, sql])
    for (const one of started) if (one.status === 'fulfilled') await one.value.stop()
  })
  const both = Promise.all([http, sql]).then(([http, sql]) => ({ http, sql }))
  // Whoever waits for it hears of a failure; until then it is not unhandled.
  both.catch(() => undefined)
  return both
}

async function startRelay({ sallyport, relayData, relay }: Context) {
  const args = ['relay', 'up', '--data', relayData, '--listen', '127.0.0.1:0']
  const running = await sallyport.run('relay', args, (line) => line.event === 'ready')
  relay.defer(running.stop)
  const { address } = v.parse(v.looseObject({ address: v.string() }), running.facts)
  return { address, endpoint: endpointOf(address), ended: running.ended }
}

/** The site: joins, lets the two services be reached, and keeps the tunnel up. */
async function openSite(context: Context, services: Promise<RunningServices>) {
  const { sallyport, progress, relayData, agentData, agent } = context
  const token = await sallyport.ask(['relay', 'join-token', NAMES.site, '--data', relayData])
  const { joinString } = v.parse(v.looseObject({ joinString: v.string() }), token)
  const join = sallyport.ask(['agent', 'join', '--join-file', '-', '--data', agentData], joinString)
  await progress('joining the agent', join)
  const { http, sql } = await progress('starting PostgreSQL', services)
  const allow = (rule: string, protocol: string) =>
    sallyport.ask(['agent', 'allow', rule, '--protocol', protocol, '--allow-loopback', '--data', agentData])
  await allow(`web=${http.host}:${http.port}`, 'http')
  await allow(`db=${sql.host}:${sql.port}`, 'tcp')
  const running = await sallyport.run(
    'agent',
    ['agent', 'run', '--data', agentData],
    (line) => line.event === 'running',
  )
  agent.defer(running.stop)
  const fingerprint = await progress('connecting the agent', untilConnected(context, running))
  return { http, sql, agent: running, fingerprint }
}

/** Asks as `agent status` does, until the agent is connected. */
async function untilConnected({ agentData, signal }: Context, { ended }: Running): Promise<string> {
  let failure: TunnelError | undefined
  void ended.then((error) => {
    failure = error
  })
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(CONNECTED_MS)])
  for (;;) {
    const answer = await callControl(controlPath(agentData), 'status', {}, { signal })
    const status = v.parse(agentStatus, answer)
    if (status.connected) return status.fingerprint
    if (failure !== undefined) throw failure
    if (deadline.aborted && !signal.aborted) throw new TunnelError('AGENT_OFFLINE')
    await realEffects.sleep(CONNECTED_POLL_MS, signal)
  }
}

/** The connector's side: credentials, a local port for each service, and a host name at the relay. */
async function openConnector({ sallyport, scratch, relayData, connector }: Context) {
  const file = join(scratch.directory, `${NAMES.connector}.credentials.json`)
  const grants = ['--resource', NAMES.web, NAMES.db]
  await sallyport.ask([
    'relay',
    'connector',
    'add',
    NAMES.connector,
    ...grants,
    '--out',
    file,
    '--data',
    relayData,
  ])
  const forward = async (name: string, resource: string) => {
    const args = ['connect', resource, '--credentials', file]
    const running = await sallyport.run(name, args, (line) => typeof line.listening === 'string')
    connector.defer(running.stop)
    return running
  }
  const forwards = await Promise.all([
    forward('connect-web', NAMES.web),
    forward('connect-db', NAMES.db),
    sallyport.ask(['relay', 'publish', NAMES.web, '--host', NAMES.host, '--data', relayData]),
  ])
  const [web, db] = forwards
  const { ca } = await readCredentials(file)
  const caFile = join(scratch.directory, 'relay-ca.pem')
  await writePrivateFile(caFile, ca)
  return { web: listeningOf(web), db: listeningOf(db), forwards: [web, db], ca, caFile }
}

async function writePasswordFile({ directory }: Scratch, login: SqlLogin): Promise<string> {
  const file = join(directory, 'pgpass')
  const { host, port, database, user, password } = login
  await writePrivateFile(file, `${[host, port, database, user, password].join(':')}\n`)
  return file
}

function listeningOf({ facts }: Running) {
  return endpointOf(v.parse(v.looseObject({ listening: v.string() }), facts).listening)
}

function endpointOf(address: string) {
  const { host, port } = parseListenAddress(address)
  return { host, port }
}
