import { createHash } from 'node:crypto'
import { brokenRule } from '../../shared/broken-rule.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import type { Relay } from '../relay.ts'
import type { ApiCaller } from './caller.ts'

/** How long an answer is kept for its key, in ms. */
export const REPLY_LIFE_MS = 24 * 3_600_000

/** Most bytes of an answer that is kept. */
const REPLY_MAX_BYTES = 65_536

/** Most keys that one caller may have at a time. */
export const REPLIES_PER_CALLER = 1_000

/** A request that is to be done once. */
export interface ReplyKey {
  /** SHA-256 of caller and key, hexadecimal. */
  readonly id: string
  /** The caller as text, for the count. */
  readonly caller: string
  /** SHA-256 of method, path and input, 32 bytes. */
  readonly requestHash: Uint8Array
}

/** What is known of a key. */
export type KnownReply =
  | { readonly kind: 'new' }
  /** Somebody is at it, or was when the relay ended. */
  | { readonly kind: 'begun'; readonly at: number }
  | { readonly kind: 'other request' }
  | { readonly kind: 'done'; readonly body: Secret<string> }

/**
 * Answers that are kept so that a request that is sent again is not done again. They are sealed, since they may hold
 * credentials. Keeping them is no act of anybody, and has no record.
 */
export interface ReplyStore {
  /**
   * Books the key where it is new. Forgets what is older than {@link REPLY_LIFE_MS}.
   * @throws {TunnelError} ENHANCE_CALM where the caller has {@link REPLIES_PER_CALLER}
   */
  beginReply(tenantId: string, key: ReplyKey, now: number): Promise<KnownReply>
  /** Keeps the answer for a key that was booked. */
  keepReply(tenantId: string, id: string, body: string): Promise<void>
  /** Forgets a key: its request was refused and changed nothing. */
  dropReply(tenantId: string, id: string): Promise<void>
}

const KEY_FORM = /^[\x21-\x7e]{1,128}$/

/** What is asked for, for {@link once}. */
export interface OnceRequest {
  readonly relay: Relay
  readonly caller: ApiCaller
  /** Value of the header `Idempotency-Key`. */
  readonly key: string
  /** `POST /path`. */
  readonly target: string
  readonly input: object
}

/**
 * Runs `work` once for each key of a caller, and gives its answer again to who asks again within a day.
 * @param work gives the body of an answer; what it refuses is not kept
 * @throws {TunnelError} INPUT; IDEMPOTENCY where the key belongs to another request; CONFLICT where the request is being
 * done, or was when the relay ended; and what `work` refuses with
 */
export async function once(request: OnceRequest, work: () => Promise<string>): Promise<string> {
  const { relay, caller } = request
  const { store, effects } = relay.authority
  // Answers are kept sealed under the key of the caller's tenant, and this one has none.
  if (caller.kind === 'operator-token') {
    throw brokenRule('Idempotency-Key', 'not with a token of the operator')
  }
  const key = replyKey(request)
  const known = await store.beginReply(caller.tenantId, key, effects.date())
  switch (known.kind) {
    case 'done':
      return known.body.reveal()
    case 'other request':
      throw new TunnelError('IDEMPOTENCY')
    case 'begun':
      throw new TunnelError(
        'CONFLICT',
        'A request with this key was begun and has no answer that could be told again.',
        {
          next: 'look whether it was done; take a new key to do it again',
        },
      )
    case 'new':
      return runOnce(relay, caller.tenantId, key.id, work)
  }
}

async function runOnce(
  { authority: { store } }: Relay,
  tenantId: string,
  id: string,
  work: () => Promise<string>,
): Promise<string> {
  let body: string
  try {
    body = await work()
  } catch (error) {
    await store.dropReply(tenantId, id)
    throw error
  }
  // A longer one stays as begun: who asks again learns that it was, and nothing is done twice.
  if (Buffer.byteLength(body) <= REPLY_MAX_BYTES) await store.keepReply(tenantId, id, body)
  return body
}

function replyKey({ caller, key, target, input }: OnceRequest): ReplyKey {
  if (!KEY_FORM.test(key)) throw brokenRule('Idempotency-Key', 'printable ASCII, 1 to 128')
  const owner = `${caller.kind}:${caller.id}`
  return {
    id: createHash('sha256')
      .update(JSON.stringify([owner, key]))
      .digest('hex'),
    caller: owner,
    requestHash: createHash('sha256')
      .update(JSON.stringify([target, Object.entries(input).sort()]))
      .digest(),
  }
}
