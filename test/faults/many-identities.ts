import { createHash, createPublicKey, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { issueClientCertificate } from '../../relay/authority/client-certificate.ts'
import { exportKey, generateKey } from '../../shared/identity/keys.ts'
import { formatId } from '../../shared/identity/subject.ts'
import { actAt } from '../support/acts.ts'
import type { RelayKit } from '../support/relay-kit.ts'

/** What one simulated agent needs to be one. */
export interface SimulatedIdentity {
  readonly certificate: string
  /** PKCS#8 PEM. */
  readonly key: string
}

/** Identities for one process. */
export interface IdentityFile {
  readonly ca: string
  readonly serverName: string
  readonly agents: readonly SimulatedIdentity[]
}

const TENANT = 'default'

/** What a token is good for; it is spent at once. */
const TOKEN_MS = 60_000

const AT_ONCE = 8

/** An agent of a site of its own, by the authority's own calls and without a connection. */
async function issue({ relay }: RelayKit, site: string): Promise<SimulatedIdentity> {
  const { store, authority, effects, agentLifetimeMs } = relay.authority
  const at = effects.date()
  const tokenHash = createHash('sha256').update(randomBytes(32)).digest()
  const token = { tokenHash, environment: 'production', site, expiresAt: at + TOKEN_MS }
  await store.createJoinToken(TENANT, token, actAt(at))
  const pair = await generateKey()
  const subject = { kind: 'agent' as const, tenantId: TENANT, id: formatId(randomBytes(16)) }
  const issued = await issueClientCertificate(
    authority,
    createPublicKey(pair),
    subject,
    agentLifetimeMs,
    effects,
  )
  const about = {
    id: subject.id,
    createdAt: at,
    version: '0.0.0',
    instance: 'simulated',
    sourceAddress: '127.0.0.1',
  }
  await store.enrollAgent(TENANT, tokenHash, { ...issued.record, ...about }, actAt(at))
  return { certificate: issued.pem, key: exportKey(pair) }
}

/** Adds `count` agents to the relay and writes what they need to `path`; several calls need different `from`. */
export async function writeIdentities(
  kit: RelayKit,
  path: string,
  from: number,
  count: number,
): Promise<void> {
  const agents: SimulatedIdentity[] = []
  // Signing is done by other threads, so several at a time use all processors.
  let next = from
  const worker = async () => {
    while (next < from + count) agents.push(await issue(kit, `site-${next++}`))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  const { authority } = kit.relay.authority
  const file: IdentityFile = {
    ca: authority.certificate.toString(),
    serverName: kit.relay.address.host,
    agents,
  }
  await writeFile(path, JSON.stringify(file), { mode: 0o600 })
}
