import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Relay } from '../relay.ts'
import { readMembers } from './body.ts'
import type { RequestOrigin } from './caller.ts'
import { inputSchema } from './json-schema.ts'
import type { ApiLimits } from './limits.ts'
import type { OpenRoute } from './open-route.ts'
import { parseQuery } from './query.ts'

/** What the gateway knows of a connection. */
export interface Visit {
  readonly traceId: string
  /** Keeps the connection for further requests of somebody who has proved who it is. @returns false where there is no room */
  stay(): boolean
}

/** A request whose route is known, and the means to answer it. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly relay: Relay
  readonly origin: RequestOrigin
  /** Behind the prefix, without the query. */
  readonly path: string
  /** What it says of the input. */
  readonly params: Readonly<Record<string, string>>
  /** What follows `?`. */
  readonly query: string
  readonly limits: ApiLimits
  readonly effects: Effects
  readonly visit: Visit
  /** Calls when the operation is asked for: from then on it notes refusals itself. */
  readonly onAsked: () => void
}

/**
 * The input as path, query and body say it: not yet checked against the schema.
 * @throws {TunnelError} INPUT where the path and the rest name the same member, and what {@link readMembers} refuses with
 */
export async function readInput(
  { request, response, params, query, limits, effects }: Exchange,
  { input, body = 'json' }: Pick<OpenRoute, 'input' | 'body'>,
): Promise<Readonly<Record<string, unknown>>> {
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  if (!isRead && query !== '')
    throw new TunnelError('INPUT', 'Only a GET takes a query.', { field: '', rule: 'no_query' })
  const rest = isRead
    ? parseQuery(query, inputSchema(input))
    : await readMembers(request, response, { type: body, timeoutMs: limits.bodyMs, effects })
  const twice = Object.keys(params).find((name) => Object.hasOwn(rest, name))
  if (twice !== undefined) {
    throw new TunnelError('INPUT', `${twice} is in the path.`, { field: twice, rule: 'unique_name' })
  }
  return { ...rest, ...params }
}

/** Aborts when the other side has left, or at the deadline; `done` ends the watch. */
export function watch(
  { response, effects }: Pick<Exchange, 'response' | 'effects'>,
  deadlineMs: number | undefined,
): { readonly signal: AbortSignal; readonly late: Promise<never>; done(): void } {
  const controller = new AbortController()
  const late = Promise.withResolvers<never>()
  // Nobody may wait for it.
  late.promise.catch(() => undefined)
  const end = (error: TunnelError) => {
    controller.abort(error)
    late.reject(error)
  }
  const onClose = () => end(new TunnelError('CANCELLED'))
  response.once('close', onClose)
  const cancel =
    deadlineMs === undefined
      ? () => undefined
      : effects.after(deadlineMs, () => end(new TunnelError('INTERNAL', `Not done within ${deadlineMs} ms.`)))
  const done = () => {
    cancel()
    response.off('close', onClose)
  }
  return { signal: controller.signal, late: late.promise, done }
}
