import net from 'node:net'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { parseResourceName } from '../../shared/identity/names.ts'
import { hostOf } from '../ingress/host-route.ts'
import type { Relay } from '../relay.ts'
import { placeFields, placeOf, text } from './input.ts'
import { operation } from './operation.ts'

const PATH = '/tenants/{tenant}/environments/{environment}/publications'

export const addPublication = operation({
  name: 'publication.add',
  summary: 'offer a resource at the relay: on a TCP address, under a host name, or under a name of TLS',
  http: { method: 'POST', path: PATH },
  right: 'publications:write',
  input: v.strictObject({
    ...placeFields,
    resource: text,
    kind: v.picklist(['tcp', 'host', 'sni']),
    address: text,
  }),
  output: v.object({ address: v.string() }),
  place: placeOf,
  async run({ relay, act }, { tenant, environment, resource, kind, address }) {
    const name = parseResourceName(resource)
    const canonical = kind === 'tcp' ? address : publicName(address, kind, relay)
    const publication = { ...name, environment, kind, address: canonical }
    return { address: await relay.publications.publish(tenant, publication, act) }
  },
})

export const removePublication = operation({
  name: 'publication.remove',
  summary: 'offer a resource at the relay no more',
  http: { method: 'DELETE', path: PATH },
  right: 'publications:write',
  input: v.strictObject({ ...placeFields, resource: text }),
  output: v.object({ removed: v.array(v.object({ kind: v.string(), address: v.string() })) }),
  place: placeOf,
  async run({ relay, act }, { tenant, environment, resource }) {
    const { site, resource: name } = parseResourceName(resource)
    const place = { tenantId: tenant, environment, site }
    return { removed: [...(await relay.publications.unpublish(place, name, act))] }
  },
})

/** @throws {TunnelError} CONFIG where it is no host name, CONFLICT where it is the one of `relay` */
export function publicName(text: string, kind: 'host' | 'sni', relay?: Pick<Relay, 'address'>): string {
  const host = hostOf(text)
  // TLS asks for no addresses (RFC 6066 section 3).
  const isName =
    host !== undefined && host === text.toLowerCase() && (kind === 'host' || net.isIP(host) === 0)
  if (!isName) throw new TunnelError('CONFIG', `${text} is no host name.`)
  if (host === relay?.address.host) throw new TunnelError('CONFLICT', `${host} is the relay itself.`)
  return host
}
