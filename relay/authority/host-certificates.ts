import { join } from 'node:path'
import type { Effects } from '../../shared/effects.ts'
import type { CertificateAuthority } from './certificate-authority.ts'
import { ensureHostCertificate, type ServerCertificate } from './server-certificate.ts'

export interface HostCertificatesOptions {
  /** Where certificates are kept; made where there is none. */
  readonly directory: string
  readonly authority: CertificateAuthority
  readonly effects: Effects
}

/**
 * A certificate for each published host, made when somebody first asks for the host. One for all would show every
 * visitor, in each handshake, what the other tenants publish.
 */
export class HostCertificates {
  readonly #options: HostCertificatesOptions
  readonly #known = new Map<string, Promise<ServerCertificate>>()

  constructor(options: HostCertificatesOptions) {
    this.#options = options
  }

  /**
   * The certificate of a host: the same object as long as it is good.
   * @param host a published one, in lower case: each takes a file
   */
  async of(host: string): Promise<ServerCertificate> {
    const known = await this.#known.get(host)
    if (known !== undefined && this.#options.effects.date() < known.renewAt) return known
    const { directory, authority, effects } = this.#options
    const made = ensureHostCertificate(join(directory, 'hosts'), authority, host, effects)
    this.#known.set(host, made)
    made.catch(() => this.#known.delete(host))
    return made
  }

  /** Forgets every host but these. */
  keep(hosts: readonly string[]): void {
    for (const host of this.#known.keys()) if (!hosts.includes(host)) this.#known.delete(host)
  }
}
