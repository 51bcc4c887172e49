import { createHash } from 'node:crypto'
import { TunnelError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { PIN_LENGTH } from './keys.ts'
import { formatRelayAddress, isServerName, parseRelayAddress, type RelayAddress } from './relay-address.ts'

/** Length of a join token in bytes: 256 bits. */
export const TOKEN_LENGTH = 32

/** Longest join string in characters, without white space round it. */
export const JOIN_STRING_MAX_LENGTH = 2048

/** Most relay addresses in one join string. */
export const JOIN_ADDRESSES_MAX = 4

const PREFIX = 'sallyport-join-1.'
const CHECKSUM_LENGTH = 8
const BODY = /^[A-Za-z0-9_-]+$/

/** What a new agent has to know: where its relay is, how to recognise it, and the right to enrol once. */
export interface JoinInvitation {
  /** 1 to 4, in the order in which they are tried. */
  readonly addresses: readonly RelayAddress[]
  /** DNS name or IP address that the certificate of the relay must bear. */
  readonly serverName: string
  /** SPKI hash of the relay's CA, 32 bytes. */
  readonly caPin: Buffer
  /** 32 bytes; whoever holds them can enrol one agent. */
  readonly token: Secret<Buffer>
}

/**
 * Writes an invitation as one word of A-Z, a-z, 0-9, `.`, `_` and `-`. It holds the token, so it is as secret.
 *
 * Layout behind the prefix, in Base64url: token, pin, length and text of the server name, then each address with its
 * length, then 8 bytes of SHA-256 over prefix and all before, which are there against slips of the hand only.
 */
export function formatJoinString(invitation: JoinInvitation): Secret<string> {
  const texts = [invitation.serverName, ...invitation.addresses.map(formatRelayAddress)]
  const body = Buffer.concat([
    invitation.token.reveal(),
    invitation.caPin,
    ...texts.flatMap((text) => [lengthOf(text), Buffer.from(text, 'ascii')]),
  ])
  return new Secret(PREFIX + Buffer.concat([body, checksum(body)]).toString('base64url'))
}

/** Two bytes, since a relay address may have 259 characters. */
function lengthOf(text: string): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(text.length)
  return length
}

/**
 * Reads a join string; white space round it is ignored, as a terminal adds it.
 *
 * @throws {TunnelError} JOIN_STRING where it is cut, mistyped or of another kind; the text never repeats any of it
 */
export function parseJoinString(text: string): JoinInvitation {
  // Before trim, so that a megabyte of blanks costs nothing.
  if (text.length > JOIN_STRING_MAX_LENGTH + 256) throw refused('It is too long.')
  const trimmed = text.trim()
  if (trimmed.length > JOIN_STRING_MAX_LENGTH) throw refused('It is too long.')
  if (!trimmed.startsWith(PREFIX)) {
    throw refused(
      trimmed.startsWith('sallyport-join-')
        ? 'It was made by another version of Sallyport.'
        : `It begins otherwise than with ${PREFIX}`,
    )
  }
  const encoded = trimmed.slice(PREFIX.length)
  if (!BODY.test(encoded)) throw refused('It has a character that does not belong there.')
  const bytes = Buffer.from(encoded, 'base64url')
  // Several texts decode to the same bytes (spare bits at the end); only the one that we write counts.
  if (bytes.toString('base64url') !== encoded) throw refused('It was cut or mistyped.')
  const body = bytes.subarray(0, Math.max(0, bytes.length - CHECKSUM_LENGTH))
  if (!checksum(body).equals(bytes.subarray(body.length))) throw refused('It was cut or mistyped.')
  return readBody(body)
}

function readBody(body: Buffer): JoinInvitation {
  const [serverName, ...addresses] = readTexts(body.subarray(TOKEN_LENGTH + PIN_LENGTH))
  if (serverName === undefined || !isServerName(serverName)) throw refused('It names no relay.')
  if (addresses.length === 0 || addresses.length > JOIN_ADDRESSES_MAX)
    throw refused('It has no relay address.')
  return {
    addresses: addresses.map(readAddress),
    serverName,
    caPin: Buffer.from(body.subarray(TOKEN_LENGTH, TOKEN_LENGTH + PIN_LENGTH)),
    token: new Secret(Buffer.from(body.subarray(0, TOKEN_LENGTH))),
  }
}

function readTexts(bytes: Buffer): string[] {
  const texts: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 <= bytes.length ? at + 2 + bytes.readUInt16BE(at) : bytes.length + 1
    if (end > bytes.length) throw refused('Its content does not add up.')
    texts.push(bytes.toString('latin1', at + 2, end))
    at = end
  }
  return texts
}

function readAddress(text: string): RelayAddress {
  try {
    return parseRelayAddress(text)
  } catch (err) {
    throw refused('It has a relay address that is not right.', err)
  }
}

function checksum(body: Buffer): Buffer {
  return createHash('sha256').update(PREFIX).update(body).digest().subarray(0, CHECKSUM_LENGTH)
}

function refused(detail: string, cause?: unknown): TunnelError {
  return new TunnelError('JOIN_STRING', detail, { cause })
}
