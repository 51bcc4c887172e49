import { X509Certificate } from 'node:crypto'
import type { Effects } from '../effects.ts'
import { ERRORS, type ErrorCode, TunnelError } from '../errors.ts'
import {
  decodeRefusal,
  decodeSignedHelloOk,
  encodeSignedHello,
  NONCE_BYTES,
} from '../handshake/signed-hello.ts'
import {
  agentTranscript,
  checkRelayProof,
  type GreetingContext,
  relayTranscript,
  signTranscript,
} from '../identity/hello-proof.ts'
import { importKey } from '../identity/keys.ts'
import type { RelaySocket, TunnelIdentity } from './dial-relay.ts'

/** What stands round the CBOR of HELLO and HELLO_OK on the wire. */
export interface Greeting {
  /** The payload of the HELLO frame. */
  wrap(hello: Uint8Array): Uint8Array
  /**
   * The CBOR of HELLO_OK.
   * @throws {TunnelError} RELAY_IDENTITY where the relay did not prove itself; what it refuses with; PROTOCOL
   */
  unwrap(meta: Uint8Array): Uint8Array
}

/** Nothing: TLS has proved both ends. */
const PLAIN: Greeting = { wrap: (hello) => hello, unwrap: (meta) => meta }

/** The greeting for a connection: a signed one where an inspector stands in between (docs/protocol.md section 2.1). */
export function greetingFor(
  { inspected }: RelaySocket,
  identity: TunnelIdentity,
  effects: Pick<Effects, 'randomBytes' | 'date'>,
): Greeting {
  if (inspected === undefined) return PLAIN
  const context: GreetingContext = {
    serverName: identity.serverName,
    relayNonce: inspected.nonce,
    agentNonce: effects.randomBytes(NONCE_BYTES),
  }
  let sent: Uint8Array = new Uint8Array(0)
  return {
    wrap: (hello) => {
      sent = encodeSignedHello({
        hello,
        certificate: new X509Certificate(identity.certificate).raw,
        nonce: context.agentNonce,
        signature: signTranscript(importKey(identity.key.reveal()), agentTranscript(context, hello)),
      })
      return sent
    },
    unwrap: (meta) => {
      const { hello, certificate, signature } = decodeSignedHelloOk(meta)
      const transcript = relayTranscript(context, sent, hello)
      checkRelayProof({ certificate, signature, transcript }, identity, effects.date())
      const refused = decodeRefusal(hello)
      if (refused === undefined) return hello
      const code = refused in ERRORS ? (refused as ErrorCode) : 'IDENTITY'
      throw new TunnelError(code, 'The relay does not take the greeting.')
    },
  }
}
