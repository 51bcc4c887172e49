import type net from 'node:net'
import { WebSocketServer } from 'ws'
import type { Effects } from '../shared/effects.ts'
import type { RelayAddress } from '../shared/identity/relay-address.ts'
import type { Logger } from '../shared/log.ts'
import { createWindowBudget } from '../shared/mux/window.ts'
import type { Cidr } from '../shared/policy/cidr.ts'
import type { ReleaseStatement } from '../shared/release/statement.ts'
import { listen } from '../shared/tunnel/tcp-listener.ts'
import { SUBPROTOCOL } from '../shared/version.ts'
import { MAX_MESSAGE_BYTES } from '../shared/wire/websocket.ts'
import { authenticatorsOf } from './api/authenticators.ts'
import type { Authenticator } from './api/caller.ts'
import { type Api, createApi } from './api/handler.ts'
import { API_LIMITS, type ApiLimits } from './api/limits.ts'
import { OPEN_ROUTES } from './api/open-routes.ts'
import { STREAM_ROUTES } from './api/stream-routes.ts'
import { Deliveries } from './audit/delivery/deliveries.ts'
import { AuditTrail } from './audit/trail.ts'
import { openAuthority } from './authority/authority.ts'
import type { AuthorityContext } from './authority/context.ts'
import { type BackupPlan, Backups } from './backup/backups.ts'
import { certificatesOf } from './certificates.ts'
import { endTraffic } from './drain.ts'
import type { Enforced, Enforcement } from './enforcement/enforcement.ts'
import { ADMISSION_LIMITS, Admission, type AdmissionLimits } from './gateway/admission.ts'
import { createArrive } from './gateway/arrival.ts'
import { createGateway, type Gateway, tlsContext } from './gateway/server.ts'
import type { Sessions } from './gateway/sessions.ts'
import type { Streams } from './gateway/streams.ts'
import { SigningKeys } from './machines/signing-keys.ts'
import { MachineTokens } from './machines/tokens.ts'
import type { RelayCounts } from './metrics/counts.ts'
import { OPERATIONS } from './operations/list.ts'
import { OperatorTokens } from './operators/tokens.ts'
import { createPeople, type LoginLimits, type People, type PeopleOptions } from './people/people.ts'
import { Publications } from './publications.ts'
import { ingressOf, passThrough } from './published-streams.ts'
import { createSso, type Sso, type SsoOptions } from './sso/sso.ts'
import { trafficOf } from './traffic.ts'

/** Windows of the relay's own streams beyond 256 KiB each, in bytes for the whole process. */
const WINDOW_BUDGET_BYTES = 512 * 1024 * 1024

/** How often the server certificate is looked at, in ms. */
const CERTIFICATE_CHECK_MS = 3_600_000

/** How long streams may go on while the relay shuts down, in ms. */
const DRAIN_MS = 10_000

export interface RelayOptions {
  readonly directory: string
  readonly listen: { readonly host: string; readonly port: number }
  /** The DNS name or address by which agents and connectors reach the relay; goes into its certificate. */
  readonly name: string
  readonly effects: Effects
  readonly log: Logger
  /** Lifetime of agents' certificates in ms. */
  readonly agentLifetimeMs?: number
  /** A program that keeps the master key; without one it is in `master.key`. */
  readonly keyCommand?: string | undefined
  /** The release that agents must state, of this version or a later one; any agent is taken where it is left out. */
  readonly requiredRelease?: ReleaseStatement | undefined
  /** Ranges beside the public internet to which audit records may be sent. */
  readonly deliveryRanges?: readonly Cidr[]
  /** What those get who have proved nothing yet, where it is not ADMISSION_LIMITS. */
  readonly limits?: Partial<AdmissionLimits>
  /** Where the proxies are that must say whose connections they bring, by the PROXY protocol. */
  readonly proxies?: readonly Cidr[]
  /** What callers of the API get, where it is not API_LIMITS. */
  readonly apiLimits?: Partial<ApiLimits>
  /** What logins may cost and how often they may be tried, where it is not the default. */
  readonly logins?: LoginLimits
  /** Sessions and tokens beside those of this relay: for tests that need no login. */
  readonly authenticators?: readonly Authenticator[]
  /** Where backups go; nowhere where it is left out. */
  readonly backups?: Omit<BackupPlan, 'directory'> | undefined
  /** Where identity providers may be. */
  readonly sso?: Pick<SsoOptions, 'insideHosts' | 'resolve'>
}

/** The library does the handshake only; its limits count all the same until it lets go of the socket. */
const WEB_SOCKET_OPTIONS = {
  noServer: true,
  perMessageDeflate: false,
  maxPayload: MAX_MESSAGE_BYTES,
  clientTracking: false,
  handleProtocols: () => SUBPROTOCOL,
}

/** A running relay. */
export interface Relay {
  /** Where it is reached from outside. */
  readonly address: RelayAddress
  readonly listening: { readonly host: string; readonly port: number }
  readonly authority: AuthorityContext
  readonly sessions: Sessions
  readonly publications: Publications
  readonly streams: Pick<Streams, 'waitingCount'>
  readonly admission: Admission
  /** See RelayOptions. */
  readonly proxies: readonly Cidr[]
  readonly counts: RelayCounts
  readonly trail: Pick<AuditTrail, 'audit' | 'flush'>
  readonly people: People
  readonly sso: Sso
  readonly deliveries: Deliveries
  readonly machineTokens: MachineTokens
  readonly operatorTokens: OperatorTokens
  /** Its data directory. */
  readonly directory: string
  /** Undefined where it has no place for backups. */
  readonly backups: Backups | undefined
  /** Whether somebody may log in from where he is. */
  readonly enforcement: Pick<Enforcement, 'checkLogin' | 'listeners'>
  /** Ends what is no longer allowed in a tenant; to be called after each change that takes a right away. */
  enforce(tenantId: string): Promise<Enforced>
  /** Takes nothing new, lets streams end for at most `drainMs` (10 s), then closes everything. */
  stop(drainMs?: number): Promise<void>
}

/**
 * Starts a relay on its data directory; the first run makes database, CA and certificate.
 * @throws {TunnelError} LISTEN, STORE, PERMISSIONS, CONFIG; nothing is left running then
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { effects, log } = options
  const authority = await openAuthority(options)
  const trail = new AuditTrail({ ...authority, log })
  const traffic = await trafficOf(options, authority, trail.audit)
  const { streams } = traffic
  let isDraining = false
  const certificates = certificatesOf(options, authority)
  const renewCertificate = async (hosts: readonly string[]) => {
    certificate = await certificates.own(hosts)
    gateway.server.setSecureContext(tlsContext(certificate, authority))
  }
  const door = doorOf(options)
  const publications = new Publications({ ...authority, streams, log, ...door, onHosts: renewCertificate })
  await trail.start()
  await publications.start()
  let certificate = await certificates.own(publications.hosts())
  const machineTokens = tokensOf(authority, () => relay.address)
  const gateway: Gateway = createGateway({
    ...{ effects, log, machineTokens },
    audit: trail.audit,
    budget: createWindowBudget(WINDOW_BUDGET_BYTES),
    ...traffic,
    webSockets: new WebSocketServer(WEB_SOCKET_OPTIONS),
    opening: (frame, from) => streams.route(frame, from),
    requiredRelease: options.requiredRelease,
    authority,
    certificate: () => certificate,
    hostCertificate: (host) => publications.byHost(host) && certificates.ofHost(host),
    isOwnHost: (host) => host === options.name || publications.byHost(host) === undefined,
    ingress: ingressOf(publications, streams, options),
    ...door,
    api: apiOf(options, () => relay),
    passThrough: (name) => (name === options.name ? undefined : passThrough(publications, streams, name)),
    isDraining: () => isDraining,
  })
  const deliveries = deliveriesOf(options, authority)
  const cancelCheck = repeat(effects, CERTIFICATE_CHECK_MS, () => {
    renewCertificate(publications.hosts()).catch((err: unknown) =>
      log.error({ err }, 'certificate not renewed'),
    )
  })
  const sso = createSso({ ...authority, ...options.sso, audit: trail.audit, relay: () => relay })
  const stop = async (drainMs = DRAIN_MS) => {
    if (isDraining) return
    isDraining = true
    cancelCheck()
    publications.stop()
    gateway.server.close()
    await endTraffic(traffic, effects, drainMs)
    gateway.closeConnections()
    sso.samlThread.stop()
    await trail.stop()
    await deliveries.stop()
    await authority.store[Symbol.asyncDispose]()
  }
  const listening = await listenOrStop(gateway, options.listen, stop)
  const relay: Relay = {
    ...{ sso, machineTokens, ...ofMachine(options) },
    people: peopleOf(options, { ...authority, ...traffic, audit: trail.audit }, () => relay.address),
    address: { host: options.name, port: listening.port },
    listening,
    ...{ authority, ...traffic, publications, ...door, trail, deliveries, stop },
  }
  await deliveries.start()
  return relay
}

/** What belongs to the machine that it runs on. */
function ofMachine({ directory, backups, effects }: RelayOptions) {
  return {
    ...{ directory, operatorTokens: new OperatorTokens(effects) },
    backups: backups && new Backups({ ...backups, directory }, effects),
  }
}

function tokensOf({ store, effects }: AuthorityContext, address: () => RelayAddress): MachineTokens {
  return new MachineTokens(new SigningKeys(store, effects), effects, address)
}

function peopleOf(
  { logins }: RelayOptions,
  around: Omit<PeopleOptions, 'address'>,
  address: () => RelayAddress,
): Relay['people'] {
  return createPeople({ ...around, ...logins, address })
}

/** Who may come in, and who that is. */
function doorOf({ proxies = [], limits, effects, log }: RelayOptions) {
  return {
    proxies,
    arrive: createArrive({ proxies, effects, log }),
    admission: new Admission({ limits: { ...ADMISSION_LIMITS, ...limits }, effects, log }),
  }
}

/** @returns where it listens, with the port that the system chose */
async function listenOrStop(
  { server }: Gateway,
  { host, port }: RelayOptions['listen'],
  stop: (drainMs: number) => Promise<void>,
): Promise<RelayOptions['listen']> {
  await listen(server, host, port).catch(async (error: unknown) => {
    await stop(0)
    throw error
  })
  return { host, port: (server.address() as net.AddressInfo).port }
}

function apiOf({ effects, log, ...options }: RelayOptions, relay: () => Relay): Api {
  return createApi({
    operations: OPERATIONS,
    open: OPEN_ROUTES,
    streams: STREAM_ROUTES,
    relay,
    authenticators: (running) => [...authenticatorsOf(running), ...(options.authenticators ?? [])],
    limits: { ...API_LIMITS, ...options.apiLimits },
    effects,
    log,
  })
}

function deliveriesOf(
  { effects, log, name, deliveryRanges = [] }: RelayOptions,
  { store }: AuthorityContext,
) {
  return new Deliveries({ store, effects, log, host: name, inside: deliveryRanges })
}

function repeat(effects: Effects, ms: number, task: () => void): () => void {
  let cancel = effects.after(ms, run)
  function run() {
    task()
    cancel = effects.after(ms, run)
  }
  return () => cancel()
}
