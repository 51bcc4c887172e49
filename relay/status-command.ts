import * as v from 'valibot'
import { resumeLines, resumeSummary } from '../shared/cli/resumes.ts'
import { type Trouble, troubleLines } from '../shared/cli/trouble.ts'
import { ERRORS, type ErrorCode, type Leg } from '../shared/errors.ts'
import { call, publicationLines, publicationRows, type ViewContext } from './control-commands.ts'

const counts = v.object({
  ok: v.number(),
  warn: v.number(),
  failing: v.number(),
  unknown: v.number(),
  unasked: v.number(),
})

const sessionRow = v.object({
  session: v.string(),
  kind: v.string(),
  environment: v.string(),
  name: v.string(),
  id: v.string(),
  product: v.string(),
  release: v.optional(v.string()),
  source: v.string(),
  since: v.number(),
  links: v.number(),
  streams: v.number(),
  rttMs: v.nullable(v.number()),
  targets: v.optional(counts),
})

const statusAnswer = v.object({
  address: v.object({ host: v.string(), port: v.number() }),
  troubles: v.array(
    v.looseObject({
      state: v.picklist(['failing', 'warn']),
      leg: v.custom<Leg>((leg) => typeof leg === 'string'),
      what: v.string(),
      code: v.optional(v.picklist(Object.keys(ERRORS) as ErrorCode[])),
      since: v.optional(v.number()),
      text: v.optional(v.string()),
    }),
  ),
  troublesLeftOut: v.number(),
  sessions: v.array(sessionRow),
  waiting: v.number(),
  resumes: resumeSummary,
  publications: publicationRows,
})

/** `sallyport relay status`. */
export async function status(options: ViewContext): Promise<void> {
  const answer = await call(options, 'status', {}, statusAnswer)
  const troubles: readonly Trouble[] = answer.troubles
  options.output.result(answer, [
    `relay ${answer.address.host}:${answer.address.port}`,
    ...troubleLines(troubles, answer.troublesLeftOut),
    ...answer.sessions.map(sessionLine),
    ...publicationLines(answer.publications),
    ...(answer.waiting === 0
      ? []
      : [`waiting    ${answer.waiting} streams of published resources, for their agents`]),
    ...resumeLines(answer.resumes),
  ])
}

function sessionLine(row: v.InferOutput<typeof sessionRow>): string {
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

function targetFacts(targets: v.InferOutput<typeof counts> | undefined): string[] {
  if (targets === undefined) return []
  const { ok, warn, failing, unknown } = targets
  const asked = ok + warn + failing + unknown
  return asked === 0 ? [] : [`targets ${ok + warn} of ${asked} answer`]
}
