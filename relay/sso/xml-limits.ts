import { TunnelError } from '../../shared/errors.ts'

/** What a SAML message may be, before anything looks into it: parsers and canonical forms take time by their product. */
export const XML_LIMITS = {
  bytes: 256 * 1024,
  elements: 1_000,
  depth: 20,
  attributes: 2_000,
  perElement: 20,
} as const

const BASE64 = /^[A-Za-z0-9+/\r\n]+={0,2}[\r\n]*$/

/** SHA-1 and HMAC as they are named in XML signatures: the first can be collided, the second would take a certificate for a password. */
const WEAK = /xmldsig(?:-more)?#(?:[a-z0-9]+-)?(?:sha1|md5)["']|xmldsig(?:-more)?#hmac/

/** The digest of RSA-OAEP, where SHA-1 is what most providers take and does no harm: nothing rests on collisions there. */
const OAEP_DIGEST =
  /(?<method><(?:[\w.-]+:)?EncryptionMethod\s[^<>]*#rsa-oaep-mgf1p["']\s*>\s*)<(?:[\w.-]+:)?DigestMethod\s[^<>]*>/g

/**
 * The XML of a SAML message, within limits that keep parsers and signature checks fast: no document type, no entity, no
 * comment, no CDATA, bounded size, depth and number of elements. Looks at each character once.
 * @param text base64, as it is posted
 * @throws {TunnelError} SIGN_ON, saying which limit
 */
export function boundedXml(text: string): string {
  if (text.length > (XML_LIMITS.bytes * 4) / 3 + 4) throw refusal(`has more than ${XML_LIMITS.bytes} bytes`)
  if (!BASE64.test(text)) throw refusal('is not base64')
  let xml: string
  try {
    xml = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'base64'))
  } catch (cause) {
    throw refusal('is not UTF-8', cause)
  }
  checkXml(xml)
  return xml
}

/** The same for XML that is there already. @throws {TunnelError} SIGN_ON, saying which limit */
export function checkXml(xml: string): void {
  if (WEAK.test(withCharacters(xml).replaceAll(OAEP_DIGEST, '$<method>'))) {
    throw refusal('is signed by SHA-1 or with a shared key')
  }
  checkShape(xml)
}

/** With each reference to a character of ASCII replaced by the character, as whoever reads the XML does. */
export function withCharacters(xml: string): string {
  return xml.replaceAll(/&#(?:x0*([0-9a-f]{1,2})|0*([0-9]{1,3}));/gi, (_, hex?: string, decimal?: string) =>
    String.fromCharCode(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)),
  )
}

function checkShape(xml: string): void {
  const count = { depth: 0, elements: 0, attributes: 0 }
  for (let at = xml.indexOf('<'); at >= 0; at = xml.indexOf('<', at)) {
    if (xml[at + 1] === '!') throw refusal('holds a document type, comment or CDATA')
    const tag = endOfTag(xml, at)
    countTag(count, xml, at, tag)
    at = tag.end
  }
  if (count.depth !== 0 || count.elements === 0) throw refusal('is not well formed')
}

type Tag = ReturnType<typeof endOfTag>

function countTag(
  count: { depth: number; elements: number; attributes: number },
  xml: string,
  at: number,
  { end, attributes }: Tag,
): void {
  const next = xml[at + 1]
  if (next === '?') {
    if (at !== 0 || !xml.startsWith('<?xml ')) throw refusal('holds a processing instruction')
    return
  }
  count.attributes += attributes
  if (next === '/') count.depth--
  else {
    count.elements++
    if (xml[end - 1] !== '/') count.depth++
  }
  const isOver = count.depth > XML_LIMITS.depth || count.elements > XML_LIMITS.elements
  if (isOver || attributes > XML_LIMITS.perElement || count.attributes > XML_LIMITS.attributes)
    throw refusal('has too many or too deep elements')
}

/** The `>` that ends a tag; one within quotation marks does not. */
function endOfTag(xml: string, from: number): { readonly end: number; readonly attributes: number } {
  let quote = ''
  let attributes = 0
  for (let at = from + 1; at < xml.length; at++) {
    const character = xml[at] ?? ''
    if (quote !== '') {
      if (character === quote) quote = ''
    } else if (character === '"' || character === "'") {
      quote = character
      attributes++
    } else if (character === '>') return { end: at, attributes }
    else if (character === '<') break
  }
  throw refusal('is not well formed')
}

function refusal(what: string, cause?: unknown): TunnelError {
  return new TunnelError('SIGN_ON', `The SAML message ${what}.`, { cause })
}
