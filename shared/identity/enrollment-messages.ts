import * as v from 'valibot'
import { pemSchema } from './credentials.ts'
import { CSR_MAX_LENGTH } from './csr.ts'
import { isFingerprint } from './keys.ts'
import { NAME_PATTERN } from './names.ts'
import { ID_PATTERN } from './subject.ts'

/** Path of the route where an agent spends its join token. */
export const ENROLL_PATH = '/v1/enroll'

/** Path of the route where an agent gets its next certificate; it needs the present one. */
export const RENEW_PATH = '/v1/renew'

/** Largest body of either request and of either answer in bytes. */
export const ENROLLMENT_BODY_MAX_BYTES = 32_768

const csrSchema = v.pipe(v.string(), v.maxLength(CSR_MAX_LENGTH))
const versionSchema = v.pipe(v.string(), v.regex(/^[0-9A-Za-z.+-]{1,64}$/))
const instanceSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/))

/** Body of `POST /v1/enroll`. */
export const enrollRequestSchema = v.strictObject({
  /** 256 bits in Base64url. */
  token: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/)),
  csr: csrSchema,
  /** Version of the agent's program. */
  version: versionSchema,
  /** Nonce of the agent's process. */
  instance: instanceSchema,
})

/** Body of `POST /v1/renew`. */
export const renewRequestSchema = v.strictObject({
  csr: csrSchema,
  version: versionSchema,
  instance: instanceSchema,
})

const issuedEntries = {
  certificate: pemSchema,
  /** From the moment of issue, in milliseconds: the agent plans by it, so that its clock need not be right. */
  lifetimeMs: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10 * 366 * 86_400_000)),
  /** Of the new key, as the relay shows it to its operator. */
  fingerprint: v.pipe(v.string(), v.check(isFingerprint)),
  generation: v.pipe(v.number(), v.integer(), v.minValue(1)),
}

/** Answer to `POST /v1/enroll`. Keys that are not known are ignored: a later relay may say more. */
export const enrollResponseSchema = v.object({
  ...issuedEntries,
  agentId: v.pipe(v.string(), v.regex(ID_PATTERN)),
  tenant: v.pipe(v.string(), v.regex(NAME_PATTERN)),
  site: v.pipe(v.string(), v.regex(NAME_PATTERN)),
})

/** Answer to `POST /v1/renew`. Keys that are not known are ignored: a later relay may say more. */
export const renewResponseSchema = v.object(issuedEntries)

export type EnrollRequest = v.InferOutput<typeof enrollRequestSchema>
export type RenewRequest = v.InferOutput<typeof renewRequestSchema>
export type EnrollResponse = v.InferOutput<typeof enrollResponseSchema>
export type RenewResponse = v.InferOutput<typeof renewResponseSchema>
