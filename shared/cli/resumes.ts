import * as v from 'valibot'

/** A ResumeSummary as it comes over the control channel. */
export const resumeSummary = v.object({
  resumed: v.number(),
  failed: v.record(v.string(), v.number()),
  last: v.optional(v.object({ at: v.number(), outcome: v.string() })),
})

/** What a status says of streams that looked for a new path; nothing where none did. */
export function resumeLines({ resumed, failed, last }: v.InferOutput<typeof resumeSummary>): string[] {
  if (last === undefined) return []
  const reasons = Object.entries(failed).map(([code, count]) => `${code} ${count}`)
  const facts = [
    `${resumed} streams went on over another path`,
    ...(reasons.length === 0 ? [] : [`searches that found none: ${reasons.join(', ')}`]),
    `last ${last.outcome} at ${new Date(last.at).toISOString()}`,
  ]
  return [`resumed    ${facts.join('; ')}`]
}
