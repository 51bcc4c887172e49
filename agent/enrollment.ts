import { makePrivateDirectory } from '../shared/config/private-file.ts'
import type { Effects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { createCsr } from '../shared/identity/csr.ts'
import {
  ENROLL_PATH,
  type EnrollRequest,
  enrollResponseSchema,
} from '../shared/identity/enrollment-messages.ts'
import { type JoinInvitation, parseJoinString } from '../shared/identity/join-string.ts'
import { exportKey, fingerprint, formatFingerprint, generateKey, importKey } from '../shared/identity/keys.ts'
import type { RelayAddress } from '../shared/identity/relay-address.ts'
import type { NetworkChoice } from '../shared/network/choice.ts'
import { DIRECT_NETWORK, type Network } from '../shared/network/network.ts'
import { firstReachable } from '../shared/network/relay-answer.ts'
import { Secret } from '../shared/secret.ts'
import { fetchPinnedCa } from './first-contact.ts'
import { type AgentIdentity, belongTogether, readIdentity, writeIdentity } from './identity-store.ts'
import { postToRelay } from './relay-request.ts'
import { writeSettings } from './settings.ts'

/** How long one connection to the relay may take, from dialling to the answer, in milliseconds. */
const RELAY_DEADLINE_MS = 15_000

export interface JoinOptions {
  readonly effects: Effects
  readonly signal: AbortSignal
  /** Version of this program. */
  readonly version: string
  /** Nonce of this process: 1 to 64 of A-Z, a-z, 0-9, `_` and `-`. */
  readonly instance: string
  /** Puts a new identity in the place of one that is there; without it such a directory is refused. */
  readonly replace?: boolean
  /** How to get to the relay; directly unless told otherwise. */
  readonly network?: Network
  /** How to get there from now on, for the settings; what they say already stays without it. */
  readonly networkChoice?: NetworkChoice
}

/** What a person on the site may want to see, and to compare with what the relay shows. */
export interface Joined {
  readonly identity: AgentIdentity
  /** Of the agent's key; the relay lists the same. */
  readonly fingerprint: string
  /** Of the relay's CA, as pinned by the join string. */
  readonly caFingerprint: string
}

/**
 * Makes this directory an agent of the relay that the join string names: makes a key, proves the relay against the
 * pin, spends the token, stores what came back.
 *
 * @param directory data directory of the agent; made with mode 0700 where there is none
 * @throws {TunnelError} JOIN_STRING, JOIN_TOKEN, RELAY_IDENTITY, RELAY_UNREACHABLE, CONFLICT where the directory has an
 * identity already, PERMISSIONS
 */
export async function join(joinString: string, directory: string, options: JoinOptions): Promise<Joined> {
  const invitation = parseJoinString(joinString)
  await makePrivateDirectory(directory)
  // Before anything is sent: a token must not be spent for an identity that cannot be kept.
  if (options.replace !== true) await checkVacant(directory)
  const { address, ca } = await findRelay(invitation, options)
  const identity = await enroll(invitation, address, ca, options)
  await writeIdentity(directory, identity)
  // After the identity: should this be lost, it is made again from there.
  await writeSettings(directory, identity, options.networkChoice)
  return {
    identity,
    fingerprint: fingerprintOf(identity),
    caFingerprint: formatFingerprint(invitation.caPin),
  }
}

/** The fingerprint of an agent's key, as the relay shows it too. */
export function fingerprintOf(identity: AgentIdentity): string {
  return fingerprint(importKey(identity.key.reveal()))
}

async function checkVacant(directory: string): Promise<void> {
  const identity = await readIdentity(directory)
  if (identity === undefined) return
  throw new TunnelError(
    'CONFLICT',
    `${directory} holds the agent ${identity.agentId} of site ${identity.site}.`,
    {
      leg: 'agent',
      next: 'choose another directory with --data DIR, or add --replace',
    },
  )
}

async function findRelay(
  invitation: JoinInvitation,
  { network = DIRECT_NETWORK, signal }: JoinOptions,
): Promise<{ address: RelayAddress; ca: string }> {
  const { serverName, caPin } = invitation
  return firstReachable(invitation.addresses, async (address) => ({
    address,
    ca: await fetchPinnedCa({ network, address, serverName, caPin, signal: withDeadline(signal) }),
  }))
}

async function enroll(
  invitation: JoinInvitation,
  address: RelayAddress,
  ca: string,
  options: JoinOptions,
): Promise<AgentIdentity> {
  const key = await generateKey()
  const body: EnrollRequest = {
    token: invitation.token.reveal().toString('base64url'),
    csr: await createCsr(key),
    version: options.version,
    instance: options.instance,
  }
  const { serverName, addresses } = invitation
  const answer = await postToRelay({
    ...(options.network === undefined ? {} : { network: options.network }),
    address,
    trust: { serverName, ca },
    path: ENROLL_PATH,
    body,
    answer: enrollResponseSchema,
    signal: withDeadline(options.signal),
  })
  const { fingerprint: _fingerprint, ...issued } = answer
  const identity: AgentIdentity = {
    ...issued,
    addresses,
    serverName,
    ca,
    key: new Secret(exportKey(key)),
    obtainedAt: options.effects.date(),
  }
  if (!belongTogether(identity))
    throw new TunnelError('PROTOCOL', 'The relay sent a certificate for another key.')
  return identity
}

/** `signal`, which also aborts after {@link RELAY_DEADLINE_MS}. */
export function withDeadline(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(RELAY_DEADLINE_MS)])
}
