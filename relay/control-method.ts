import * as v from 'valibot'
import type { ControlHandler } from '../shared/control/serve.ts'
import type { Effects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import type { Act } from './audit/record.ts'
import { DEFAULT_ENVIRONMENT, DEFAULT_TENANT } from './store/store.ts'

/** A text in the parameters of a command. */
export const textParam = v.pipe(v.string(), v.maxLength(512))

/** Which tenant a command is about. */
export const tenantParam = { tenant: v.optional(textParam, DEFAULT_TENANT) }

/** Which environment of which tenant a command is about. */
export const placeParams = { ...tenantParam, environment: v.optional(textParam, DEFAULT_ENVIRONMENT) }

/** A handler whose parameters were checked. */
export function method<Input>(
  schema: v.GenericSchema<unknown, Input>,
  act: (params: Input) => Promise<object>,
): ControlHandler {
  return async (params) => {
    const parsed = v.safeParse(schema, params, { abortEarly: true })
    if (!parsed.success) {
      throw new TunnelError('USAGE', `${v.getDotPath(parsed.issues[0]) ?? 'The request'} is not right.`)
    }
    return act(parsed.output)
  }
}

/** The act of a command on the relay's own machine. */
export function operatorAct(effects: Pick<Effects, 'date' | 'randomBytes'>): Act {
  const traceId = effects.randomBytes(16).toString('hex')
  return { actor: { kind: 'operator', id: '' }, source: 'local', traceId, at: effects.date() }
}
