import * as v from 'valibot'
import type { Output } from '../shared/cli/output.ts'
import { callControl } from '../shared/control/call.ts'
import { controlPath } from '../shared/control/path.ts'
import { serveControl } from '../shared/control/serve.ts'
import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { createLog } from '../shared/log.ts'
import { startAgent } from './agent.ts'

export interface RunFlags {
  readonly data: string
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug'
  readonly mask: string
}

interface Context {
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport agent run`: until the signal aborts, then lets streams end for a moment. */
export async function run({ data, logLevel, mask, signal, output }: RunFlags & Context): Promise<void> {
  if (mask !== 'zero' && mask !== 'random') throw new TunnelError('USAGE', '--mask is zero or random.')
  const log = createLog({ level: logLevel })
  const agent = await startAgent({ directory: data, effects: realEffects, log, signal, mask })
  await using _control = await serveControl(
    controlPath(data),
    { status: async () => agent.status() },
    { signal, onFault: (err, method) => log.error({ err, method }, 'control request failed') },
  )
  const { site, agentId } = agent.status()
  output.result({ event: 'running', site, agentId, data }, `agent of site ${site} runs, data in ${data}`)
  await agent.done
}

const statusAnswer = v.looseObject({
  connected: v.boolean(),
  site: v.string(),
  relay: v.optional(v.string()),
  since: v.optional(v.number()),
  fingerprint: v.string(),
  certificateEnds: v.number(),
  streams: v.number(),
  waiting: v.number(),
  denied: v.number(),
  rules: v.number(),
  rulesError: v.optional(v.string()),
  lastError: v.optional(v.object({ code: v.string(), message: v.string(), next: v.string() })),
})

/** `sallyport agent status`. */
export async function status({ data, signal, output }: { data: string } & Context): Promise<void> {
  const parsed = v.safeParse(statusAnswer, await callControl(controlPath(data), 'status', {}, { signal }))
  if (!parsed.success)
    throw new TunnelError('PROTOCOL', 'The agent answered in a form that this command does not know.')
  const now = parsed.output
  const lines = [
    now.connected
      ? `site ${now.site}: connected to ${now.relay} since ${new Date(now.since ?? 0).toISOString()}`
      : `site ${now.site}: not connected`,
    `rules ${now.rules}, streams ${now.streams}${waiting(now.waiting)}, denied ${now.denied}`,
    `key ${now.fingerprint}, certificate until ${new Date(now.certificateEnds).toISOString()}`,
  ]
  if (now.rulesError !== undefined) lines.push(`RULES NOT READ, the last good ones hold: ${now.rulesError}`)
  if (now.lastError !== undefined) {
    lines.push(`last failure ${now.lastError.code}: ${now.lastError.message}`, `next   ${now.lastError.next}`)
  }
  output.result(now, lines)
}

function waiting(count: number): string {
  return count === 0 ? '' : ` (${count} without a path, waiting for their openers)`
}
