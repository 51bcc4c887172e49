import type { Effects } from '../effects.ts'
import type { Challenge } from './challenge.ts'
import { DIGEST_ALGORITHMS, type DigestAlgorithm, digestAlgorithm, digestAnswer } from './digest.ts'
import { authenticateMessage, negotiateMessage, ntlmAccount } from './ntlm.ts'
import type { ProxyCredentials } from './route.ts'

/** One attempt to prove ourselves to a proxy by one scheme. It sends the password's proof at most once, but for `stale`. */
export interface ProxyAuth {
  /** For people: `NTLM`, `Digest SHA-256`, `Digest MD5`, `Basic`. */
  readonly scheme: string
  /** True where the last answer counts only on the connection on which its challenge came. */
  readonly isBound: boolean
  /**
   * The value of Proxy-Authorization for these challenges.
   * @returns undefined where the credentials were sent and not taken
   * @throws {TunnelError} PROXY_UNREACHABLE where a challenge is not understood
   */
  answer(challenges: readonly Challenge[]): string | undefined
}

export interface ProxyAuthContext {
  readonly credentials: ProxyCredentials
  /** The request target of the CONNECT. */
  readonly authority: string
  readonly effects: Pick<Effects, 'randomBytes' | 'date'>
}

/** Fresh nonces in a row after which a proxy that calls each answer stale is believed no more. */
const MAX_STALE = 2

/** The strongest scheme that is offered and that we speak, in the order that browsers have; undefined where none is. */
export function chooseProxyAuth(
  challenges: readonly Challenge[],
  context: ProxyAuthContext,
): ProxyAuth | undefined {
  if (challenges.some(({ scheme }) => scheme === 'ntlm')) return ntlm(context)
  const offered = challenges.map(digestAlgorithm)
  const algorithm = DIGEST_ALGORITHMS.find((candidate) => offered.includes(candidate))
  if (algorithm !== undefined) return digest(algorithm, context)
  return challenges.some(({ scheme }) => scheme === 'basic') ? basic(context) : undefined
}

/** What a proxy offers, for people: `NTLM`, `Digest SHA-256`, `Negotiate`. Printable, at most 16 of at most 40 characters. */
export function describeSchemes(challenges: readonly Challenge[]): string[] {
  const names = challenges.map(({ scheme, params }) => {
    const name = scheme === 'ntlm' ? 'NTLM' : `${scheme.slice(0, 1).toUpperCase()}${scheme.slice(1, 20)}`
    const algorithm = scheme === 'digest' ? ` ${(params.get('algorithm') ?? 'MD5').slice(0, 19)}` : ''
    return `${name}${algorithm}`.replaceAll(/[^ -~]/g, '?')
  })
  return [...new Set(names)]
}

function basic({ credentials }: ProxyAuthContext): ProxyAuth {
  let isSent = false
  return {
    scheme: 'Basic',
    isBound: false,
    answer: () => {
      if (isSent) return undefined
      isSent = true
      const pair = `${credentials.user}:${credentials.password.reveal()}`
      return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`
    },
  }
}

function digest(algorithm: DigestAlgorithm, context: ProxyAuthContext): ProxyAuth {
  let sent = 0
  return {
    scheme: `Digest ${algorithm}`,
    isBound: false,
    answer: (challenges) => {
      const challenge = challenges.find((candidate) => digestAlgorithm(candidate) === algorithm)
      if (challenge === undefined) return undefined
      // Stale says that the password was right and only the nonce too old (RFC 7616 section 3.3).
      const isStale = challenge.params.get('stale')?.toLowerCase() === 'true'
      if (sent > 0 && (!isStale || sent > MAX_STALE)) return undefined
      sent++
      return digestAnswer({
        challenge,
        algorithm,
        user: context.credentials.user,
        password: context.credentials.password.reveal(),
        method: 'CONNECT',
        uri: context.authority,
        cnonce: context.effects.randomBytes(16).toString('hex'),
        count: 1,
      })
    },
  }
}

function ntlm({ credentials, effects }: ProxyAuthContext): ProxyAuth {
  let state: 'new' | 'negotiated' | 'authenticated' = 'new'
  return {
    scheme: 'NTLM',
    get isBound() {
      return state === 'authenticated'
    },
    answer: (challenges) => {
      if (state === 'authenticated') return undefined
      if (state === 'new') {
        state = 'negotiated'
        return `NTLM ${negotiateMessage().toString('base64')}`
      }
      const token = challenges.find(({ scheme }) => scheme === 'ntlm')?.token ?? ''
      state = 'authenticated'
      const message = authenticateMessage({
        account: ntlmAccount(credentials.user, credentials.password.reveal()),
        challengeMessage: Buffer.from(token, 'base64'),
        clientChallenge: effects.randomBytes(8),
        nowMs: effects.date(),
      })
      return `NTLM ${message.toString('base64')}`
    },
  }
}
