import type { PassThrough } from './gateway/front-door.ts'
import type { Streams } from './gateway/streams.ts'
import { createHttpIngress, type HttpIngress } from './ingress/http.ts'
import type { Publications } from './publications.ts'
import type { RelayOptions } from './relay.ts'

/** HTTP at published hosts, as streams to their sites. */
export function ingressOf(
  publications: Publications,
  streams: Streams,
  { log, effects }: Pick<RelayOptions, 'log' | 'effects'>,
): HttpIngress {
  return createHttpIngress({
    route: (host) => {
      const found = publications.byHost(host)
      return found === undefined ? undefined : { ...found, host }
    },
    open: (request) => streams.openDuplex(request),
    log,
    effects,
  })
}

/** The way to the site of a name whose TLS passes through; undefined where it is none. */
export function passThrough(
  publications: Publications,
  streams: Streams,
  name: string,
): PassThrough | undefined {
  const found = publications.byServerName(name)
  if (found === undefined) return undefined
  const { tenantId, environment, site, resource } = found
  return (handler, sourceAddress) =>
    streams.open(
      { tenantId, environment, site, resource, protocol: 'tcp', sourceAddress, publication: name },
      handler,
    )
}
