import { createHmac } from 'node:crypto'
import { TunnelError } from '../errors.ts'
import { md4 } from './md4.ts'

/**
 * The client's side of NTLMv2 (MS-NLMP): NEGOTIATE, and AUTHENTICATE for a CHALLENGE. No LM, no NTLMv1, no session
 * security: the proxy learns who we are and nothing is signed or sealed afterwards.
 */
const SIGNATURE = Buffer.from('NTLMSSP\0')

/** UNICODE, REQUEST_TARGET, NTLM, ALWAYS_SIGN, EXTENDED_SESSIONSECURITY, TARGET_INFO, 128, 56 (section 2.2.2.5). */
const FLAGS = 0xa088_8205

/** AV pairs (section 2.2.2.1). */
const AV = { end: 0, flags: 6, timestamp: 7 } as const

/** "There is a MIC" in the flags of the AV pairs. */
const AV_FLAG_MIC = 2

/** Where the MIC stands in an AUTHENTICATE message with a version field, and where its payload begins. */
const MIC_AT = 72
const PAYLOAD_AT = 88

/** 1601 to 1970 in units of 100 ns. */
const FILETIME_EPOCH = 116_444_736_000_000_000n

/** Larger CHALLENGE messages are not read; real ones have a few hundred bytes. */
const MAX_CHALLENGE_BYTES = 8_192

/** Whose password it is. */
export interface NtlmAccount {
  readonly user: string
  /** Empty for user@domain and where the proxy's own domain is meant. */
  readonly domain: string
  readonly password: string
}

/** What a CHALLENGE says. */
export interface NtlmChallenge {
  /** 8 bytes. */
  readonly serverChallenge: Buffer
  /** The AV pairs as they came. */
  readonly targetInfo: Buffer
  /** FILETIME from the AV pairs, where the server has one. */
  readonly timestamp: Buffer | undefined
}

/** Splits DOMAIN\user; user@domain stays whole, as section 3.3.2 wants it. */
export function ntlmAccount(user: string, password: string): NtlmAccount {
  const slash = user.indexOf('\\')
  return slash < 0
    ? { user, domain: '', password }
    : { user: user.slice(slash + 1), domain: user.slice(0, slash), password }
}

/** The first message (section 2.2.1.1), without domain and workstation. */
export function negotiateMessage(): Buffer {
  const message = Buffer.alloc(40)
  SIGNATURE.copy(message)
  message.writeUInt32LE(1, 8)
  message.writeUInt32LE(FLAGS, 12)
  return message
}

/** @throws {TunnelError} PROXY_UNREACHABLE where it is no CHALLENGE message (section 2.2.1.2) */
export function parseChallengeMessage(message: Buffer): NtlmChallenge {
  const isRight =
    message.length >= 48 &&
    message.length <= MAX_CHALLENGE_BYTES &&
    message.subarray(0, 8).equals(SIGNATURE) &&
    message.readUInt32LE(8) === 2
  if (!isRight) throw notUnderstood()
  const length = message.readUInt16LE(40)
  const offset = message.readUInt32LE(44)
  if (offset + length > message.length) throw notUnderstood()
  const targetInfo = message.subarray(offset, offset + length)
  return {
    serverChallenge: message.subarray(24, 32),
    targetInfo,
    timestamp: avPairs(targetInfo).get(AV.timestamp),
  }
}

function notUnderstood(): TunnelError {
  return new TunnelError('PROXY_UNREACHABLE', 'Its NTLM challenge is not understood.')
}

function avPairs(targetInfo: Buffer): Map<number, Buffer> {
  const pairs = new Map<number, Buffer>()
  for (let at = 0; at + 4 <= targetInfo.length; ) {
    const id = targetInfo.readUInt16LE(at)
    const length = targetInfo.readUInt16LE(at + 2)
    if (id === AV.end) break
    if (at + 4 + length > targetInfo.length) throw notUnderstood()
    pairs.set(id, targetInfo.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return pairs
}

/** NTOWFv2 (section 3.3.2): what stands for the password. */
export function ntlmKey({ user, domain, password }: NtlmAccount): Buffer {
  return hmac(md4(Buffer.from(password, 'utf16le')), Buffer.from(user.toUpperCase() + domain, 'utf16le'))
}

/**
 * The NTLMv2 response (section 3.3.2).
 * @param key of {@link ntlmKey}
 * @param time FILETIME, 8 bytes
 * @param clientChallenge 8 random bytes
 * @returns the response, whose first 16 bytes are the proof, and the session key
 */
export function ntlmResponse(
  key: Buffer,
  serverChallenge: Buffer,
  targetInfo: Buffer,
  time: Buffer,
  clientChallenge: Buffer,
): { readonly response: Buffer; readonly sessionKey: Buffer } {
  const blob = Buffer.concat([
    Buffer.from([1, 1, 0, 0, 0, 0, 0, 0]),
    time,
    clientChallenge,
    Buffer.alloc(4),
    targetInfo,
    Buffer.alloc(4),
  ])
  const proof = hmac(key, Buffer.concat([serverChallenge, blob]))
  return { response: Buffer.concat([proof, blob]), sessionKey: hmac(key, proof) }
}

/** LMv2, which servers without a timestamp may still look at (section 3.3.2). */
export function lmResponse(key: Buffer, serverChallenge: Buffer, clientChallenge: Buffer): Buffer {
  return Buffer.concat([hmac(key, Buffer.concat([serverChallenge, clientChallenge])), clientChallenge])
}

export interface AuthenticateInput {
  readonly account: NtlmAccount
  /** The CHALLENGE message as it came. */
  readonly challengeMessage: Buffer
  /** 8 random bytes. */
  readonly clientChallenge: Buffer
  /** Milliseconds since 1970, for servers that send no time of their own. */
  readonly nowMs: number
}

/**
 * The third message (section 2.2.1.3), with a MIC where the server sent its time.
 * @throws {TunnelError} PROXY_UNREACHABLE where the challenge is not understood
 */
export function authenticateMessage(input: AuthenticateInput): Buffer {
  const { account, challengeMessage, clientChallenge, nowMs } = input
  const { serverChallenge, targetInfo, timestamp } = parseChallengeMessage(challengeMessage)
  const key = ntlmKey(account)
  const hasMic = timestamp !== undefined && timestamp.length === 8
  const { response, sessionKey } = ntlmResponse(
    key,
    serverChallenge,
    hasMic ? withMicFlag(targetInfo) : targetInfo,
    hasMic ? timestamp : filetime(nowMs),
    clientChallenge,
  )
  // Section 3.1.5.1.2: with a timestamp there is no LM response.
  const lm = hasMic ? Buffer.alloc(24) : lmResponse(key, serverChallenge, clientChallenge)
  const message = layOut(account, lm, response)
  if (hasMic) {
    const mic = hmac(sessionKey, Buffer.concat([negotiateMessage(), challengeMessage, message]))
    mic.copy(message, MIC_AT)
  }
  return message
}

function layOut(account: NtlmAccount, lm: Buffer, response: Buffer): Buffer {
  const fields = [
    { at: 12, bytes: lm },
    { at: 20, bytes: response },
    { at: 28, bytes: Buffer.from(account.domain, 'utf16le') },
    { at: 36, bytes: Buffer.from(account.user, 'utf16le') },
    { at: 44, bytes: Buffer.alloc(0) },
    { at: 52, bytes: Buffer.alloc(0) },
  ]
  const head = Buffer.alloc(PAYLOAD_AT)
  SIGNATURE.copy(head)
  head.writeUInt32LE(3, 8)
  head.writeUInt32LE(FLAGS, 60)
  let offset = PAYLOAD_AT
  for (const { at, bytes } of fields) {
    head.writeUInt16LE(bytes.length, at)
    head.writeUInt16LE(bytes.length, at + 2)
    head.writeUInt32LE(offset, at + 4)
    offset += bytes.length
  }
  return Buffer.concat([head, ...fields.map(({ bytes }) => bytes)])
}

/** The AV pairs with "there is a MIC" in their flags. */
function withMicFlag(targetInfo: Buffer): Buffer {
  const pairs = avPairs(targetInfo)
  const flags = Buffer.alloc(4)
  const present = pairs.get(AV.flags)
  flags.writeUInt32LE((present?.length === 4 ? present.readUInt32LE() : 0) | AV_FLAG_MIC)
  pairs.set(AV.flags, flags)
  const parts = [...pairs].map(([id, value]) => {
    const head = Buffer.alloc(4)
    head.writeUInt16LE(id)
    head.writeUInt16LE(value.length, 2)
    return Buffer.concat([head, value])
  })
  return Buffer.concat([...parts, Buffer.alloc(4)])
}

function filetime(nowMs: number): Buffer {
  const time = Buffer.alloc(8)
  time.writeBigUInt64LE(BigInt(Math.trunc(nowMs)) * 10_000n + FILETIME_EPOCH)
  return time
}

function hmac(key: Buffer, data: Buffer): Buffer {
  return createHmac('md5', key).update(data).digest()
}
