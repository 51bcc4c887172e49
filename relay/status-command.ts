import type * as v from 'valibot'
import { resumeLines } from '../shared/cli/resumes.ts'
import { type Trouble, troubleLines } from '../shared/cli/trouble.ts'
import { call, publicationLines, type ViewContext } from './control-commands.ts'
import { showStatus } from './operations/status.ts'

type Session = v.InferOutput<typeof showStatus.output>['sessions'][number]
type Support = v.InferOutput<typeof showStatus.output>['support'][number]

/** `sallyport relay status`. */
export async function status(options: ViewContext): Promise<void> {
  const answer = await call(options, showStatus, {})
  const troubles: readonly Trouble[] = answer.troubles
  options.output.result(answer, [
    [`relay ${answer.address.host}:${answer.address.port}`, ...behind(answer.proxies)].join(', '),
    ...troubleLines(troubles, answer.troublesLeftOut),
    ...answer.sessions.map(sessionLine),
    ...publicationLines(answer.publications),
    ...answer.support.map(supportLine),
    ...(answer.waiting === 0
      ? []
      : [`waiting    ${answer.waiting} streams of published resources, for their agents`]),
    ...resumeLines(answer.resumes),
  ])
}

/** Addresses below are those that the proxies say. */
function behind(proxies: readonly string[]): string[] {
  return proxies.length === 0 ? [] : [`behind proxies in ${proxies.join(' ')}`]
}

function supportLine({ support, person, role, environment, site, isInUse, endsAt }: Support): string {
  const where = environment === undefined ? '(all)' : [environment, site].filter(Boolean).join('/')
  const use = isInUse ? 'in use NOW' : 'not in use'
  return `support    ${where}  ${person} as ${role}, ${use}, until ${new Date(endsAt).toISOString()} (${support.slice(0, 6)})`
}

function sessionLine(row: Session): string {
  const { kind, environment, name, id, links, source, since, streams, rttMs, targets, product, release } = row
  const facts = [
    `${kind.padEnd(9)}  ${environment}  ${name}  (${id.slice(0, 6)}) from ${source} since ${new Date(since).toISOString()}`,
    kind === 'agent' && release !== undefined ? `release ${release}` : product,
    ...(links === 1 ? [] : [`links ${links}`]),
    `streams ${streams}`,
    ...(rttMs === null ? [] : [`round trip ${rttMs} ms`]),
    ...targetFacts(targets),
  ]
  return facts.join(', ')
}

function targetFacts(targets: NonNullable<Session['targets']> | undefined): string[] {
  if (targets === undefined) return []
  const { ok, warn, failing, unknown } = targets
  const asked = ok + warn + failing + unknown
  return asked === 0 ? [] : [`targets ${ok + warn} of ${asked} answer`]
}
