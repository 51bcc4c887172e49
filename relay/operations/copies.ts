import * as v from 'valibot'
import { COPY_RESPONSES, type Copy } from '../authority/copies.ts'
import { copyText } from '../enforcement/copy-alarm.ts'
import type { Relay } from '../relay.ts'
import { ms, requireTenant, tenantField, tenantPlace } from './input.ts'
import { operation } from './operation.ts'

const PATH = '/tenants/{tenant}/copies'

/** What is done about an agent of which there are two. */
export const copyResponse = v.picklist(COPY_RESPONSES)

const copyRow = v.object({
  agent: v.string(),
  environment: v.string(),
  site: v.string(),
  sign: v.picklist(['certificate', 'process']),
  sources: v.array(v.string()),
  since: ms,
  last: ms,
  text: v.string(),
})

/** Those of a tenant that showed in the last 24 hours. */
export function copiesOf({ authority }: Relay, tenantId: string): readonly Copy[] {
  return authority.copies.list().filter(({ agent }) => agent.tenantId === tenantId)
}

export const showCopies = operation({
  name: 'copies.show',
  summary:
    'show agents of which there seem to be two, since the relay began and within 24 hours, and what is done then',
  http: { method: 'GET', path: PATH },
  right: 'sites:read',
  input: v.strictObject(tenantField),
  output: v.object({ response: copyResponse, copies: v.array(copyRow) }),
  place: tenantPlace,
  async run({ relay }, { tenant }) {
    await requireTenant(relay, tenant)
    const copies = copiesOf(relay, tenant).map((copy) => {
      const { environment, site, id } = copy.agent
      const { sign, sources, since, last } = copy
      return { agent: id, environment, site, sign, sources: [...sources], since, last, text: copyText(copy) }
    })
    return { response: await relay.authority.store.copyResponse(tenant), copies }
  },
})

export const setCopies = operation({
  name: 'copies.set',
  summary:
    'say what is done about an agent of which there seem to be two: an alarm, or its site is stopped as well',
  http: { method: 'PUT', path: PATH },
  right: 'tenant:write',
  input: v.strictObject({ ...tenantField, response: copyResponse }),
  output: v.object({ response: copyResponse }),
  place: tenantPlace,
  async run({ relay, act }, { tenant, response }) {
    await relay.authority.store.setCopyResponse(tenant, response, act)
    return { response }
  },
})
