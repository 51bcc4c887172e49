import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { parseName } from '../../shared/identity/names.ts'
import type { AuditAction } from '../audit/actions.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import { OPERATOR_TOKEN_LIFE, type OperatorToken } from '../operators/tokens.ts'
import { ms, text } from './input.ts'
import { type OperationContext, operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/operators'

const ofRelay = () => undefined

const tokenOutput = { id: v.string(), name: v.string(), createdAt: ms, expiresAt: ms }

export const addOperator = operation({
  name: 'operator.add',
  summary:
    'make a token by which the operator of the machine acts from elsewhere; only on the machine itself',
  http: { method: 'POST', path: PATH },
  right: 'relay:write',
  isDangerous: true,
  input: v.strictObject({
    name: text,
    lifeMs: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(OPERATOR_TOKEN_LIFE.min),
        v.maxValue(OPERATOR_TOKEN_LIFE.max),
      ),
      OPERATOR_TOKEN_LIFE.usual,
    ),
  }),
  output: v.object({ ...tokenOutput, token: v.string() }),
  place: ofRelay,
  async run(context, { name, lifeMs }) {
    // A token that makes others would outlive itself.
    if (context.caller.kind !== 'operator') {
      throw new TunnelError('FORBIDDEN', 'Tokens of the operator are made on the machine of the relay only.')
    }
    const { text: secret, ...token } = context.relay.operatorTokens.add(parseName(name, 'token'), lifeMs)
    const until = new Date(token.expiresAt).toISOString()
    await tell(context, 'operator.add', token, `${token.name}, until ${until}`)
    return { ...token, token: secret.reveal() }
  },
})

export const listOperators = operation({
  name: 'operator.list',
  summary: 'show the tokens of the operator that are good',
  http: { method: 'GET', path: PATH },
  right: 'relay:read',
  input: v.strictObject(pageFields),
  output: pageOutput(v.object(tokenOutput)),
  place: ofRelay,
  async run({ relay }, page) {
    return pageOf(relay.operatorTokens.list(), ({ id }) => id, page)
  },
})

export const removeOperator = operation({
  name: 'operator.remove',
  summary: 'end a token of the operator at once',
  http: { method: 'DELETE', path: `${PATH}/{operator}` },
  right: 'relay:write',
  input: v.strictObject({ operator: text }),
  output: v.object({}),
  place: ofRelay,
  async run(context, { operator: id }) {
    const token = context.relay.operatorTokens.list().find((one) => one.id === id)
    if (token === undefined || !context.relay.operatorTokens.remove(id)) {
      throw new TunnelError('NOT_FOUND', `There is no token ${id} of the operator.`, {
        next: 'sallyport relay operator list',
      })
    }
    await tell(context, 'operator.remove', token, token.name)
    return {}
  },
})

/** Tokens are in memory, so there is no transaction that the record could be a part of: it is there before the answer. */
async function tell(
  { relay, act }: OperationContext,
  action: AuditAction & `operator.${string}`,
  { id }: OperatorToken,
  detail: string,
): Promise<void> {
  const { actor, source, traceId } = act
  const deed = { action, object: id, outcome: 'OK', detail } as const
  relay.trail.audit({ ...deed, tenantId: RELAY_CHAIN, actor, source, traceId })
  await relay.trail.flush()
}
