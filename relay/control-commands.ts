import type * as v from 'valibot'
import { formatDay, parseDuration } from '../shared/config/duration.ts'
import { writePrivateFile } from '../shared/config/private-file.ts'
import { TunnelError } from '../shared/errors.ts'
import { askAll } from './ask-all.ts'
import { type Asked, askRelay, type CommandContext } from './ask-relay.ts'
import { JOIN_TTL } from './authority/invite.ts'
import {
  addConnector,
  inviteAgent,
  type publicationRow,
  revokeAgent,
  revokeConnector,
} from './operations/identities.ts'
import { listAgents, listConnectors, listPublications, listSites } from './operations/inventory.ts'
import { addPublication, removePublication } from './operations/publications.ts'

interface Context extends CommandContext {
  readonly tenant: string
  readonly env: string
}

/** Of a command that shows all of a tenant where no environment is named. */
export interface ViewContext extends CommandContext {
  readonly tenant: string
  readonly env?: string
}

/** `sallyport relay join-token`. */
export async function joinToken({
  site,
  ttl,
  ...context
}: Context & { site: string; ttl: string }): Promise<void> {
  const ttlMs = parseDuration(ttl, JOIN_TTL)
  const answer = await call(context, inviteAgent, { site, ttlMs })
  context.output.result({ joinString: answer.text, expiresAt: answer.expiresAt }, answer.text)
}

/** `sallyport relay connector add`. */
export async function connectorAdd(
  options: Context & { name: string; resource: readonly string[]; byToken?: boolean; out?: string },
): Promise<void> {
  const { name, resource, byToken = false, output } = options
  const file = options.out ?? `${name}.credentials.json`
  const proof = byToken ? 'token' : 'certificate'
  const answer = await call(options, addConnector, { connector: name, resources: resource, proof })
  await writePrivateFile(file, answer.credentials)
  const { credentials: _, ...told } = answer
  const { fingerprint, notAfter } = told
  output.result({ connector: name, file, ...told }, [
    `${file} holds the credentials of ${name}, ${notAfter === undefined ? 'with which it gets tokens' : `good until ${formatDay(notAfter)}`}; keep it secret`,
    ...(fingerprint === undefined ? [] : [`key ${fingerprint}`]),
    `next: sallyport connect ${resource[0]} --credentials ${file}`,
  ])
}

/** `sallyport relay publish`. */
export async function publish(
  options: Context & { resource: string; tcp?: string; host?: string; sni?: string },
): Promise<void> {
  const { resource, output } = options
  const kinds = (['tcp', 'host', 'sni'] as const).filter((kind) => options[kind] !== undefined)
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) {
    throw new TunnelError('USAGE', 'Say one of --tcp HOST:PORT, --host NAME and --sni NAME.', {
      next: 'sallyport relay publish --help',
    })
  }
  const { address } = await call(options, addPublication, { resource, kind, address: options[kind] })
  output.result({ resource, kind, address }, `${resource} is at ${where(kind, address)}`)
}

function where(kind: string, address: string): string {
  if (kind === 'tcp') return address
  return kind === 'host' ? `https://${address}/` : `${address} (its own TLS)`
}

/** `sallyport relay unpublish`. */
export async function unpublish(options: Context & { resource: string }): Promise<void> {
  const { removed } = await call(options, removePublication, { resource: options.resource })
  for (const { kind, address } of removed) {
    options.output.result({ resource: options.resource, kind, address }, `${address} is closed`)
  }
}

/** `sallyport relay revoke`. */
export async function revoke(options: Context & { kind: string; name: string }): Promise<void> {
  const { kind, name, output } = options
  const { revoked, closed } =
    kind === 'agent'
      ? await call(options, revokeAgent, { agent: name })
      : await call(options, revokeConnector, { connector: name })
  output.result({ kind, name, revoked, closed }, `${kind} ${name} is revoked; sessions ended: ${closed}`)
}

/** `sallyport relay list`. */
export async function list(options: ViewContext): Promise<void> {
  const allOf = <Item>(operation: Asked<{ items: Item[]; next?: string | undefined }>) =>
    askAll((page) => call(options, operation, page))
  const answer = {
    tenant: options.tenant,
    sites: (await allOf(listSites)).map(({ site }) => site),
    agents: await allOf(listAgents),
    connectors: await allOf(listConnectors),
    publications: await allOf(listPublications),
  }
  const lines = [
    ...answer.agents.map(
      ({ environment, site, id, notAfter, revoked }) =>
        `agent      ${environment}  ${site}  ${id}  ${revoked ? 'revoked' : `certificate until ${formatDay(notAfter)}`}`,
    ),
    ...answer.connectors.map(
      ({ environment, name, resources, revoked }) =>
        `connector  ${environment}  ${name}  ${revoked ? 'revoked' : resources.join(' ')}`,
    ),
    ...publicationLines(answer.publications),
  ]
  options.output.result(answer, lines.length > 0 ? lines : 'nothing yet: sallyport relay join-token SITE')
}

/** Them for people. */
export function publicationLines(rows: readonly v.InferOutput<typeof publicationRow>[]): string[] {
  return rows.map(
    ({ environment, site, resource, kind, address, error }) =>
      `published  ${environment}  ${site}/${resource}  ${where(kind, address)}${error === undefined ? '' : `  NOT OPEN: ${error}`}`,
  )
}

/** Asks about what the flags name: a tenant, and an environment where one is named or meant. */
export function call<Answer extends object>(
  context: ViewContext,
  operation: Asked<Answer>,
  params: object,
): Promise<Answer> {
  const { tenant, env } = context
  const place = env === undefined ? { tenant } : { tenant, environment: env }
  return askRelay(context, operation, { ...place, ...params })
}
