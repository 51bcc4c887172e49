import type net from 'node:net'
import { parseListenAddress } from '../shared/cli/listen-address.ts'
import { isTunnelError, TunnelError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { type Arrive, formatListening, listenTcp } from '../shared/tunnel/tcp-listener.ts'
import type { Act } from './audit/record.ts'
import type { Streams } from './gateway/streams.ts'
import type { Publication, SitePlace, Store } from './store/store.ts'

export interface PublicationsOptions {
  readonly store: Store
  readonly streams: Streams
  readonly log: Logger
  /** Whose a connection to a TCP listener is. */
  readonly arrive: Arrive
  /** Published host names have changed: the server certificate must follow. */
  readonly onHosts: (hosts: readonly string[]) => Promise<void>
}

/** A publication, and whose it is. */
export interface TenantPublication extends Publication {
  readonly tenantId: string
}

/** A publication and how it stands now. */
export interface PublicationStatus extends Publication {
  /** Where a TCP publication listens; undefined where it could not. */
  readonly listening?: string
  readonly error?: string
}

/** What the relay offers by itself: TCP listeners, HTTP host names and names of TLS that is passed through, kept in the store and opened again at each start. */
export class Publications {
  readonly #options: PublicationsOptions
  readonly #servers = new Map<string, net.Server>()
  readonly #errors = new Map<string, string>()
  readonly #hosts = new Map<string, TenantPublication>()
  readonly #passedThrough = new Map<string, TenantPublication>()

  constructor(options: PublicationsOptions) {
    this.#options = options
  }

  /** The publication of a canonical host name. */
  byHost(host: string): TenantPublication | undefined {
    return this.#hosts.get(host)
  }

  /** The publication of a name that TLS asks for, where its TLS is passed through. */
  byServerName(name: string): TenantPublication | undefined {
    return this.#passedThrough.get(name)
  }

  hosts(): readonly string[] {
    return [...this.#hosts.keys()]
  }

  /** Opens what the store holds. A listener that cannot be opened is told in the status and stops nothing else. */
  async start(): Promise<void> {
    for (const { id } of await this.#options.store.relay.listTenants()) await this.#beginAll(id)
  }

  /** Opens what a tenant has published, after `close`. */
  async open(tenantId: string): Promise<void> {
    await this.#beginAll(tenantId)
    await this.#options.onHosts(this.hosts())
  }

  /** Closes everything that a tenant has published; the store keeps it. Connections that are open end with their agents. */
  async close(tenantId: string): Promise<void> {
    for (const publication of await this.#options.store.listPublications(tenantId)) this.#end(publication)
    await this.#options.onHosts(this.hosts())
  }

  async #beginAll(tenantId: string): Promise<void> {
    for (const publication of await this.#options.store.listPublications(tenantId)) {
      await this.#begin({ ...publication, tenantId })
    }
  }

  async #begin(publication: TenantPublication): Promise<void> {
    const names = this.#namesOf(publication.kind)
    if (names !== undefined) {
      names.set(publication.address, publication)
      return
    }
    await this.#open(publication).catch((error: unknown) => {
      if (!isTunnelError(error)) throw error
      this.#errors.set(publication.address, error.detail)
      this.#options.log.error({ address: publication.address, err: error }, 'publication cannot listen')
    })
  }

  /**
   * Opens and then stores a publication: one that cannot work is not kept.
   * @returns where it can be reached; for port 0 the port that the system chose
   * @throws {TunnelError} LISTEN, CONFLICT, NOT_FOUND where there is no such environment, STORE
   */
  async publish(tenantId: string, publication: Publication, act: Act): Promise<string> {
    const { store } = this.#options
    const names = this.#namesOf(publication.kind)
    if (names !== undefined) {
      await store.publish(tenantId, publication, act)
      names.set(publication.address, { ...publication, tenantId })
      if (publication.kind === 'host') await this.#options.onHosts(this.hosts())
      return publication.address
    }
    const address = await this.#open({ ...publication, tenantId })
    try {
      await store.publish(tenantId, { ...publication, address }, act)
    } catch (error) {
      this.#close(address)
      throw error
    }
    return address
  }

  /** Takes all publications of a resource back. @throws {TunnelError} NOT_FOUND where there is none */
  async unpublish(place: SitePlace, resource: string, act: Act): Promise<readonly Publication[]> {
    const { store } = this.#options
    const { tenantId, environment, site } = place
    const all = await store.listPublications(tenantId, environment)
    const gone = all.filter((one) => one.site === site && one.resource === resource)
    if (gone.length === 0) throw new TunnelError('NOT_FOUND', `${site}/${resource} is not published.`)
    for (const publication of gone) {
      await store.unpublish(tenantId, publication.kind, publication.address, act)
      this.#end(publication)
    }
    if (gone.some((one) => one.kind === 'host')) await this.#options.onHosts(this.hosts())
    return gone
  }

  /**
   * Follows what has changed in the store already. A listener that cannot be opened is told in the list, as at a start.
   * @throws {TunnelError} DISK where the certificate of the relay cannot follow
   */
  async follow(gone: readonly TenantPublication[], added: readonly TenantPublication[]): Promise<void> {
    for (const publication of gone) this.#end(publication)
    for (const publication of added) await this.#begin(publication)
    if ([...gone, ...added].some(({ kind }) => kind === 'host')) await this.#options.onHosts(this.hosts())
  }

  /** Those of a tenant, or of one environment of it. */
  async list(tenantId: string, environment?: string): Promise<readonly PublicationStatus[]> {
    const all = await this.#options.store.listPublications(tenantId, environment)
    return all.map((publication) => {
      const error = this.#errors.get(publication.address)
      if (error !== undefined) return { ...publication, error }
      return publication.kind === 'tcp' ? { ...publication, listening: publication.address } : publication
    })
  }

  /** Takes no more connections; those that are open go on. */
  stop(): void {
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
  }

  /** Where names of a kind are kept; undefined for the kind that has none. */
  #namesOf(kind: Publication['kind']): Map<string, TenantPublication> | undefined {
    if (kind === 'tcp') return undefined
    return kind === 'host' ? this.#hosts : this.#passedThrough
  }

  async #open(publication: TenantPublication): Promise<string> {
    const { streams, log, arrive } = this.#options
    const { host, port } = parseListenAddress(publication.address)
    const { tenantId, environment, site, resource } = publication
    // Port 0 has its number only when it listens.
    let bound = ''
    const server = await listenTcp({
      host,
      port,
      arrive,
      open: (handler, sourceAddress) =>
        streams.open(
          { tenantId, environment, site, resource, protocol: 'tcp', sourceAddress, publication: bound },
          handler,
        ),
      onClosed: (error) =>
        log.debug({ tenant: tenantId, site, resource, code: error?.code ?? 'OK' }, 'connection closed'),
    })
    bound = formatListening(host, (server.address() as net.AddressInfo).port)
    this.#servers.set(bound, server)
    this.#errors.delete(bound)
    return bound
  }

  #end({ kind, address }: Publication): void {
    const names = this.#namesOf(kind)
    if (names !== undefined) names.delete(address)
    else this.#close(address)
  }

  #close(address: string): void {
    this.#servers.get(address)?.close()
    this.#servers.delete(address)
    this.#errors.delete(address)
  }
}
