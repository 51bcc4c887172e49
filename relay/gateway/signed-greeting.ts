import { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import {
  decodeSignedHello,
  encodeRefusal,
  encodeSignedHelloOk,
  formatNonce,
  NONCE_BYTES,
  NONCE_HEADER,
} from '../../shared/handshake/signed-hello.ts'
import {
  agentTranscript,
  checkAgentProof,
  type GreetingContext,
  relayTranscript,
  signTranscript,
} from '../../shared/identity/hello-proof.ts'
import { importKey } from '../../shared/identity/keys.ts'
import { certificateSubject } from '../../shared/identity/subject.ts'
import { sourceAddress } from '../../shared/tunnel/source-address.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { identify } from '../authority/identify.ts'
import type { ServerCertificate } from '../authority/server-certificate.ts'
import { type AcceptContext, acceptGreeting, type Greeted, type Refused } from './accept.ts'

export interface SignedGreetingContext extends AcceptContext {
  readonly authority: AuthorityContext
  /** What TLS presents now. */
  readonly certificate: () => ServerCertificate
}

/** What the door does about a connection whose agent proves itself in its greeting. */
export interface SignedGuest {
  /** The relay's own name, under which it was asked. */
  readonly serverName: string
  /** Called once the agent has proved itself. @throws {TunnelError} OVERLOADED where there is no room for it */
  readonly admit: () => void
}

/**
 * Upgrades a request without a client certificate, and runs its session if the HELLO is signed by an agent
 * (docs/protocol.md section 2.1). The relay's nonce is fresh, so no HELLO is good a second time.
 */
export function acceptSigned(
  context: SignedGreetingContext,
  request: IncomingMessage,
  head: Buffer,
  guest: SignedGuest,
): void {
  const relayNonce = context.effects.randomBytes(NONCE_BYTES)
  const addNonce = (headers: string[]) => headers.push(`${NONCE_HEADER}: ${formatNonce(relayNonce)}`)
  // The library writes the answer within this call, or refuses the request within it.
  context.webSockets.once('headers', addNonce)
  acceptGreeting(context, request, head, (meta) =>
    readSigned(context, { ...guest, source: sourceAddress(request.socket) }, relayNonce, meta),
  )
  context.webSockets.removeListener('headers', addNonce)
}

/** @throws {TunnelError} PROTOCOL where it is no signed HELLO */
async function readSigned(
  { authority, certificate }: SignedGreetingContext,
  { serverName, admit, source }: SignedGuest & { readonly source: string },
  relayNonce: Buffer,
  meta: Uint8Array,
): Promise<Greeted | Refused> {
  const signed = decodeSignedHello(meta)
  const context: GreetingContext = { serverName, relayNonce, agentNonce: signed.nonce }
  const answer = (hello: Uint8Array) => {
    const { chain, key } = certificate()
    return encodeSignedHelloOk({
      hello,
      // The first of the chain: the relay's own.
      certificate: new X509Certificate(chain).raw,
      signature: signTranscript(importKey(key.reveal()), relayTranscript(context, meta, hello)),
    })
  }
  let presented: X509Certificate | undefined
  try {
    const proof = { ...signed, transcript: agentTranscript(context, signed.hello) }
    presented = checkAgentProof(proof, authority.authority.certificate)
    const principal = await identify(authority, presented, true, source)
    if (principal.kind !== 'agent') throw new TunnelError('IDENTITY', 'Only agents greet so.')
    admit()
    return { principal, hello: signed.hello, answer }
  } catch (error) {
    if (!isTunnelError(error)) throw error
    const subject = presented === undefined ? undefined : certificateSubject(presented)
    return { error, subject, refusal: answer(encodeRefusal(error.code)) }
  }
}
