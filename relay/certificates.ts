import net from 'node:net'
import { serverCertificateDirectory } from './authority/authority.ts'
import type { AuthorityContext } from './authority/context.ts'
import { HostCertificates } from './authority/host-certificates.ts'
import { ensureServerCertificate, type ServerCertificate } from './authority/server-certificate.ts'
import type { RelayOptions } from './relay.ts'

/** The certificates that a relay shows. */
export interface Certificates {
  /** For the relay's own name, and for the published addresses: TLS asks for no address, so they have no other. */
  own(hosts: readonly string[]): Promise<ServerCertificate>
  ofHost(host: string): Promise<ServerCertificate>
}

/** Makes them when they are first asked for, and again before they end. */
export function certificatesOf(
  { directory: root, name, effects }: Pick<RelayOptions, 'directory' | 'name' | 'effects'>,
  { authority }: AuthorityContext,
): Certificates {
  const directory = serverCertificateDirectory(root)
  const ofHosts = new HostCertificates({ directory, authority, effects })
  return {
    own: (hosts) => {
      ofHosts.keep(hosts)
      const addresses = hosts.filter((host) => net.isIP(host) !== 0)
      return ensureServerCertificate(directory, authority, [name, ...addresses], effects)
    },
    ofHost: (host) => ofHosts.of(host),
  }
}
