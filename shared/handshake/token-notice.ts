import * as v from 'valibot'
import { Secret } from '../secret.ts'
import { encodeMap, parseMap } from './hello.ts'

/** Longest token, in characters. */
const TOKEN_MAX_LENGTH = 4_096

const noticeSchema = v.object({ token: v.optional(v.pipe(v.string(), v.maxLength(TOKEN_MAX_LENGTH))) })

/** The NOTICE by which a connector shows its next token (docs/protocol.md section 8.6). It is a secret. */
export function encodeTokenNotice(token: Secret<string>): Uint8Array {
  return encodeMap({ token: token.reveal() })
}

/** Reads it; undefined for a notice about something else. @throws {TunnelError} PROTOCOL */
export function decodeTokenNotice(meta: Uint8Array): Secret<string> | undefined {
  const { token } = parseMap(noticeSchema, meta, 'NOTICE')
  return token === undefined ? undefined : new Secret(token)
}
