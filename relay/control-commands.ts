import * as v from 'valibot'
import { parseDuration } from '../shared/config/duration.ts'
import { writePrivateFile } from '../shared/config/private-file.ts'
import { TunnelError } from '../shared/errors.ts'
import { askRelay, type CommandContext } from './ask-relay.ts'

interface Context extends CommandContext {
  readonly tenant: string
  readonly env: string
}

/** Of a command that shows all of a tenant where no environment is named. */
export interface ViewContext extends CommandContext {
  readonly tenant: string
  readonly env?: string
}

/** Longest life of a join string, in ms. */
const MAX_TTL_MS = 7 * 86_400_000

const joinTokenAnswer = v.object({ text: v.string(), expiresAt: v.number() })
const connectorAnswer = v.object({ credentials: v.string(), fingerprint: v.string(), notAfter: v.number() })
const publishAnswer = v.object({ address: v.string() })
const unpublishAnswer = v.object({ removed: v.array(v.object({ kind: v.string(), address: v.string() })) })
const revokeAnswer = v.object({ revoked: v.number(), closed: v.number() })
/** Rows of what is published. */
export const publicationRows = v.array(
  v.object({
    environment: v.string(),
    site: v.string(),
    resource: v.string(),
    kind: v.string(),
    address: v.string(),
    error: v.optional(v.string()),
  }),
)
const listAnswer = v.object({
  sites: v.array(v.string()),
  agents: v.array(
    v.object({
      id: v.string(),
      environment: v.string(),
      site: v.string(),
      fingerprint: v.string(),
      notAfter: v.number(),
      revoked: v.boolean(),
    }),
  ),
  connectors: v.array(
    v.object({
      name: v.string(),
      environment: v.string(),
      fingerprint: v.string(),
      revoked: v.boolean(),
      resources: v.array(v.string()),
    }),
  ),
  publications: publicationRows,
})
/** `sallyport relay join-token`. */
export async function joinToken({
  site,
  ttl,
  ...context
}: Context & { site: string; ttl: string }): Promise<void> {
  const ttlMs = parseDuration(ttl, { min: 1_000, max: MAX_TTL_MS })
  const answer = await call(context, 'join-token', { site, ttlMs }, joinTokenAnswer)
  context.output.result({ joinString: answer.text, expiresAt: answer.expiresAt }, answer.text)
}

/** `sallyport relay connector add`. */
export async function connectorAdd(
  options: Context & { name: string; resource: readonly string[]; out?: string },
): Promise<void> {
  const { name, resource, output } = options
  const file = options.out ?? `${name}.credentials.json`
  const answer = await call(options, 'connector-add', { name, resources: resource }, connectorAnswer)
  await writePrivateFile(file, answer.credentials)
  const { fingerprint, notAfter } = answer
  output.result({ connector: name, file, fingerprint, notAfter }, [
    `${file} holds the credentials of ${name}, good until ${day(notAfter)}; keep it secret`,
    `key ${fingerprint}`,
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
  const { address } = await call(
    options,
    'publish',
    { resource, kind, address: options[kind] },
    publishAnswer,
  )
  output.result({ resource, kind, address }, `${resource} is at ${where(kind, address)}`)
}

function where(kind: string, address: string): string {
  if (kind === 'tcp') return address
  return kind === 'host' ? `https://${address}/` : `${address} (its own TLS)`
}

/** `sallyport relay unpublish`. */
export async function unpublish(options: Context & { resource: string }): Promise<void> {
  const { removed } = await call(options, 'unpublish', { resource: options.resource }, unpublishAnswer)
  for (const { kind, address } of removed) {
    options.output.result({ resource: options.resource, kind, address }, `${address} is closed`)
  }
}

/** `sallyport relay revoke`. */
export async function revoke(options: Context & { kind: string; name: string }): Promise<void> {
  const { kind, name, output } = options
  const { revoked, closed } = await call(options, 'revoke', { kind, name }, revokeAnswer)
  output.result({ kind, name, revoked, closed }, `${kind} ${name} is revoked; sessions ended: ${closed}`)
}

/** `sallyport relay list`. */
export async function list(options: ViewContext): Promise<void> {
  const answer = await call(options, 'list', {}, listAnswer)
  const lines = [
    ...answer.agents.map(
      ({ environment, site, id, notAfter, revoked }) =>
        `agent      ${environment}  ${site}  ${id}  ${revoked ? 'revoked' : `certificate until ${day(notAfter)}`}`,
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
export function publicationLines(rows: v.InferOutput<typeof publicationRows>): string[] {
  return rows.map(
    ({ environment, site, resource, kind, address, error }) =>
      `published  ${environment}  ${site}/${resource}  ${where(kind, address)}${error === undefined ? '' : `  NOT OPEN: ${error}`}`,
  )
}

/** Asks about what the flags name: a tenant, and an environment where one is named or meant. */
export function call<Answer>(
  context: ViewContext,
  method: string,
  params: object,
  answer: v.GenericSchema<unknown, Answer>,
): Promise<Answer> {
  const { tenant, env } = context
  const place = env === undefined ? { tenant } : { tenant, environment: env }
  return askRelay(context, method, { ...place, ...params }, answer)
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
