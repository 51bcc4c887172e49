import type { TokenCredentials } from '../../shared/identity/credentials.ts'
import { parseName } from '../../shared/identity/names.ts'
import { formatId } from '../../shared/identity/subject.ts'
import type { Act } from '../audit/record.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { type ConnectorOptions, checkGrants, checkLocation } from '../authority/invite.ts'
import { makeToken } from '../people/token.ts'
import { NO_CERTIFICATE } from '../store/store.ts'

/**
 * Adds a connector with its grants that comes by tokens. Its secret is handed out once, and only a hash of it is kept.
 *
 * @throws {TunnelError} CONFIG where a name or an address is not right; CONFLICT where the name is taken; NOT_FOUND
 * where there is no such environment; STORE
 */
export async function issueTokenConnector(
  { store, effects, authority }: AuthorityContext,
  tenantId: string,
  options: ConnectorOptions,
  act: Act,
): Promise<TokenCredentials> {
  checkLocation(options)
  const { addresses, serverName, environment } = options
  const name = parseName(options.name, 'connector')
  const grants = checkGrants(options.grants)
  const id = formatId(effects.randomBytes(16))
  const secret = makeToken('connector', tenantId, effects)
  const added = { ...NO_CERTIFICATE, id, environment, name, createdAt: act.at, secretHash: secret.hash }
  await store.addConnector(tenantId, added, grants, act)
  const ca = authority.certificate.toString()
  return { connector: name, addresses, serverName, ca, clientId: id, clientSecret: secret.text }
}
