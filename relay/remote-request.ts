import * as v from 'valibot'
import type { RemoteRequest } from '../shared/cli/remote-call.ts'
import { TunnelError } from '../shared/errors.ts'
import { API_PREFIX, paramNames } from './api/routes.ts'
import type { Operation } from './operations/operation.ts'

/**
 * An operation as a request to the API: what its path names goes there, the rest into the query of a GET or into the body.
 * @throws {TunnelError} USAGE where the input is not right
 */
export function remoteRequest(
  { http, input }: Pick<Operation, 'http' | 'input'>,
  params: object,
): RemoteRequest {
  const parsed = v.safeParse(input, params)
  if (!parsed.success) {
    throw new TunnelError('USAGE', `${v.getDotPath(parsed.issues[0]) ?? 'The whole'} is not right.`)
  }
  // With the defaults, for what the path names and the command left out.
  const whole = { ...(parsed.output as object), ...params } as Readonly<Record<string, unknown>>
  const names = paramNames(http.path)
  const path = http.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(whole[name] ?? '')),
  )
  const rest = Object.entries(params).filter(([name, value]) => value !== undefined && !names.includes(name))
  if (http.method !== 'GET') {
    const body = rest.length > 0 ? Object.fromEntries(rest) : undefined
    return { method: http.method, path: API_PREFIX + path, body }
  }
  const query = new URLSearchParams()
  for (const [name, value] of rest) for (const one of [value].flat()) query.append(name, String(one))
  return { method: 'GET', path: `${API_PREFIX}${path}${query.size > 0 ? `?${query}` : ''}` }
}
