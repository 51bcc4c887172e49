import { X509Certificate } from 'node:crypto'
import type * as v from 'valibot'
import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { signTranscript } from '../shared/identity/hello-proof.ts'
import { importKey } from '../shared/identity/keys.ts'
import { formatRelayAddress } from '../shared/identity/relay-address.ts'
import type { ClientIdentity } from '../shared/identity/relay-tls.ts'
import {
  askSealed,
  checkOffer,
  OFFER_PATH,
  type Offer,
  offerSchema,
  renewalTranscript,
  SEALED_PATH,
  type SealedAsk,
  type SealedContent,
  sealedAnswerSchema,
} from '../shared/identity/sealed-request.ts'
import { fromJson } from '../shared/json.ts'
import { type Answer, exchange, type RelayRoad } from '../shared/network/relay-exchange.ts'

/**
 * Asks a relay for an offer, which is not checked yet: whoever stands in between may have made it.
 * @throws {TunnelError} PROTOCOL where it is none; of `exchange`
 */
export async function fetchOffer(road: RelayRoad): Promise<Offer> {
  const answer = await exchange(road, { method: 'GET', path: OFFER_PATH, mayBeInspected: true })
  return readAnswer(road, answer, offerSchema)
}

/**
 * Sends a request through an inspector that the site accepted, sealed so that only the relay can read it.
 * @param body JSON text
 * @throws {TunnelError} RELAY_IDENTITY where the relay behind the inspector does not prove itself; of {@link fetchOffer}
 */
export async function sealedExchange(
  road: RelayRoad,
  path: SealedContent['path'],
  body: string,
): Promise<Answer> {
  const offer = await fetchOffer(road)
  checkOffer(offer, road.trust, realEffects.date())
  const ask = askSealed(offer)
  const proof = road.client === undefined ? {} : proofOf(road.client, offer, ask, body)
  const request = JSON.stringify(ask.seal({ path, body, ...proof }))
  const asked = { method: 'POST', path: SEALED_PATH, body: request, mayBeInspected: true } as const
  const { box } = readAnswer(road, await exchange(road, asked), sealedAnswerSchema)
  const opened = ask.open(box)
  return { status: opened.status, text: opened.body }
}

/** In the place of the client certificate that the inspector takes away. */
function proofOf(client: ClientIdentity, { nonce }: Offer, ask: SealedAsk, body: string) {
  const transcript = renewalTranscript(nonce, ask.key, body)
  return {
    certificate: new X509Certificate(client.certificate).raw.toString('base64url'),
    signature: signTranscript(importKey(client.key.reveal()), transcript).toString('base64url'),
  }
}

function readAnswer<T extends v.GenericSchema>(
  { address }: RelayRoad,
  answer: Answer | undefined,
  schema: T,
): v.InferOutput<T> {
  const parsed = answer?.status === 200 ? fromJson(answer.text, schema) : undefined
  if (parsed?.success === true) return parsed.output
  const status = answer?.status ?? 0
  throw new TunnelError(
    'PROTOCOL',
    `${formatRelayAddress(address)} answered through the inspector with status ${status} in a form that is not understood.`,
  )
}
