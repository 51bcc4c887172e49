import {
  type CipherGCMTypes,
  constants,
  createCipheriv,
  createHash,
  createSign,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { generate } from 'selfsigned'

const SAML = 'urn:oasis:names:tc:SAML:2.0:assertion'
const PROTOCOL = 'urn:oasis:names:tc:SAML:2.0:protocol'
const DSIG = 'http://www.w3.org/2000/09/xmldsig#'
const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#'

/** What an assertion says; what is left out fits. */
export interface Statement {
  readonly entityId: string
  readonly audience: string
  readonly recipient: string
  readonly inResponseTo: string
  readonly subject: string
  readonly attributes?: Readonly<Record<string, string>>
  /** Further elements within the assertion. */
  readonly inner?: string
  /** Ends of the names of the signature's algorithms; `#` may be written as XML has it. */
  readonly algorithms?: { readonly signature: string; readonly digest: string }
  /** What is made of the signed assertion before it goes into the response, such as its encryption. */
  readonly wrap?: (assertion: string) => string
}

/**
 * Signs assertions as an identity provider does, for tests that have no Python. Everything is written in the canonical form
 * (exclusive XML canonicalization) from the beginning, so no XML library of the product is asked.
 */
export async function makeSigner() {
  const made = await generate([{ name: 'commonName', value: 'idp' }], {
    keyType: 'rsa',
    keySize: 2048,
    algorithm: 'sha256',
  })
  return {
    certificate: made.cert.replaceAll('\r', ''),
    /** @returns a response as base64 */
    respond(statement: Statement): string {
      const { entityId, recipient, inResponseTo, wrap = (assertion) => assertion } = statement
      const assertion = wrap(signAssertion(statement, made.private))
      const issued = new Date().toISOString()
      const response =
        `<samlp:Response xmlns:samlp="${PROTOCOL}" Destination="${recipient}" ID="_${randomBytes(8).toString('hex')}" ` +
        `InResponseTo="${inResponseTo}" IssueInstant="${issued}" Version="2.0">` +
        `<saml:Issuer xmlns:saml="${SAML}">${entityId}</saml:Issuer>` +
        `<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>${assertion}</samlp:Response>`
      return Buffer.from(response).toString('base64')
    },
  }
}

function signAssertion(statement: Statement, key: string): string {
  const {
    signature = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    digest = 'http://www.w3.org/2001/04/xmlenc#sha256',
  } = statement.algorithms ?? {}
  const hash = digest.endsWith('sha1') ? 'sha1' : 'sha256'
  const id = `_${randomBytes(8).toString('hex')}`
  const { issuer, rest } = assertionParts(statement)
  const open = `<saml:Assertion xmlns:saml="${SAML}" ID="${id}" IssueInstant="${new Date().toISOString()}" Version="2.0">`
  const digested = createHash(hash).update(`${open}${issuer}${rest}</saml:Assertion>`).digest('base64')
  const info = (xmlns: string) =>
    `<ds:SignedInfo${xmlns}><ds:CanonicalizationMethod Algorithm="${EXCLUSIVE}"></ds:CanonicalizationMethod>` +
    `<ds:SignatureMethod Algorithm="${signature}"></ds:SignatureMethod><ds:Reference URI="#${id}"><ds:Transforms>` +
    `<ds:Transform Algorithm="${DSIG}enveloped-signature"></ds:Transform><ds:Transform Algorithm="${EXCLUSIVE}"></ds:Transform>` +
    `</ds:Transforms><ds:DigestMethod Algorithm="${digest}"></ds:DigestMethod><ds:DigestValue>${digested}</ds:DigestValue>` +
    '</ds:Reference></ds:SignedInfo>'
  // The canonical form has the character itself where the message may have a reference to it.
  const canonical = info(` xmlns:ds="${DSIG}"`).replaceAll('&#35;', '#')
  const value = createSign(hash).update(canonical).sign(key, 'base64')
  return `${open}${issuer}<ds:Signature xmlns:ds="${DSIG}">${info('')}<ds:SignatureValue>${value}</ds:SignatureValue></ds:Signature>${rest}</saml:Assertion>`
}

function assertionParts({
  entityId,
  audience,
  recipient,
  inResponseTo,
  subject,
  attributes = {},
  inner = '',
}: Statement) {
  const [from, until] = [-60_000, 300_000].map((ms) => new Date(Date.now() + ms).toISOString())
  const values = Object.entries(attributes)
    .map(
      ([name, value]) =>
        `<saml:Attribute Name="${name}"><saml:AttributeValue>${value}</saml:AttributeValue></saml:Attribute>`,
    )
    .join('')
  return {
    issuer: `<saml:Issuer>${entityId}</saml:Issuer>`,
    rest:
      `<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">${subject}</saml:NameID>` +
      '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">' +
      `<saml:SubjectConfirmationData InResponseTo="${inResponseTo}" NotOnOrAfter="${until}" Recipient="${recipient}"></saml:SubjectConfirmationData>` +
      `</saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${from}" NotOnOrAfter="${until}">` +
      `<saml:AudienceRestriction><saml:Audience>${audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
      `<saml:AuthnStatement AuthnInstant="${new Date().toISOString()}" SessionIndex="s1"><saml:AuthnContext>` +
      '<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>' +
      `<saml:AttributeStatement>${values}</saml:AttributeStatement>${inner}`,
  }
}

const XMLENC = 'http://www.w3.org/2001/04/xmlenc#'

/** How an assertion is encrypted; see {@link encrypt}. */
export interface Encryption {
  readonly content: 'aes128-gcm' | 'aes256-gcm' | 'aes256-cbc'
  readonly key: 'rsa-oaep-mgf1p' | 'rsa-1_5'
}

/** Encrypts an assertion for whom `certificate` (PEM) belongs to. */
export function encrypt(assertion: string, certificate: string, { content, key }: Encryption): string {
  const isGcm = content.endsWith('gcm')
  const secret = randomBytes(content.startsWith('aes128') ? 16 : 32)
  const iv = randomBytes(isGcm ? 12 : 16)
  const cipher = createCipheriv(content.replace(/^aes(\d+)/, 'aes-$1') as CipherGCMTypes, secret, iv)
  const body = [iv, cipher.update(assertion), cipher.final(), isGcm ? cipher.getAuthTag() : Buffer.alloc(0)]
  const isOaep = key === 'rsa-oaep-mgf1p'
  const padding = isOaep ? constants.RSA_PKCS1_OAEP_PADDING : constants.RSA_PKCS1_PADDING
  const wrapped = publicEncrypt({ key: certificate, padding, oaepHash: 'sha1' }, secret)
  const space = isGcm ? 'http://www.w3.org/2009/xmlenc11#' : XMLENC
  const digest = isOaep ? `<ds:DigestMethod Algorithm="${DSIG}sha1"/>` : ''
  return (
    `<saml:EncryptedAssertion xmlns:saml="${SAML}"><xenc:EncryptedData xmlns:xenc="${XMLENC}" Type="${XMLENC}Element">` +
    `<xenc:EncryptionMethod Algorithm="${space}${content}"/><ds:KeyInfo xmlns:ds="${DSIG}"><xenc:EncryptedKey>` +
    `<xenc:EncryptionMethod Algorithm="${XMLENC}${key}">${digest}</xenc:EncryptionMethod>${cipherData(wrapped)}</xenc:EncryptedKey></ds:KeyInfo>` +
    `${cipherData(Buffer.concat(body))}</xenc:EncryptedData></saml:EncryptedAssertion>`
  )
}

function cipherData(bytes: Buffer): string {
  return `<xenc:CipherData><xenc:CipherValue>${bytes.toString('base64')}</xenc:CipherValue></xenc:CipherData>`
}
