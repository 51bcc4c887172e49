import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { boundedXml, XML_LIMITS } from '../../../relay/sso/xml-limits.ts'
import { isTunnelError } from '../../../shared/errors.ts'

const post = (xml: string) => boundedXml(Buffer.from(xml).toString('base64'))
const refused = (pattern: RegExp) => (error: unknown) =>
  isTunnelError(error) && error.code === 'SIGN_ON' && pattern.test(error.detail)

test('a message within the limits passes as it is', () => {
  const xml = '<?xml version="1.0"?>\n<a b="1>2" c=\'"\'><d/><e>text</e></a>'
  assert.equal(post(xml), xml)
})

const BAD: Readonly<Record<string, readonly [string, RegExp]>> = {
  'a document type': ['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', /document type/],
  'a document type behind the first tag': ['<a><!DOCTYPE b></a>', /document type/],
  'a comment': ['<a>ann<!-- -->@x</a>', /comment/],
  CDATA: ['<a><![CDATA[x]]></a>', /CDATA/],
  'a processing instruction': ['<a><?php x?></a>', /processing/],
  'a style sheet': ['<?xml-stylesheet href="x"?><a/>', /processing/],
  'no end': ['<a', /well formed/],
  'no end of an attribute': ['<a b="', /well formed/],
  'more ends than beginnings': ['<a/></a>', /well formed/],
  'fewer ends than beginnings': ['<a><b></a>', /well formed/],
  'no element': ['text', /well formed/],
  'SHA-1': ['<a Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/>', /SHA-1/],
  'a digest by SHA-1': ["<a Algorithm='http://www.w3.org/2000/09/xmldsig#sha1'/>", /SHA-1/],
  'SHA-1 by a reference to a character': [
    '<a Algorithm="http://www.w3.org/2000/09/xmldsig&#35;rsa-sh&#x61;1"/>',
    /SHA-1/,
  ],
  HMAC: ['<a Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"/>', /shared key/],
  depth: [`${'<a>'.repeat(XML_LIMITS.depth + 1)}${'</a>'.repeat(XML_LIMITS.depth + 1)}`, /deep/],
  'many elements': [`<a>${'<b/>'.repeat(XML_LIMITS.elements)}</a>`, /too many/],
  'many attributes on one element': [`<a ${'b="" '.repeat(XML_LIMITS.perElement + 1)}/>`, /too many/],
  'many attributes': [`<a>${'<b c="" d="" e=""/>'.repeat(XML_LIMITS.elements - 1)}</a>`, /too many/],
}

for (const [what, [xml, says]] of Object.entries(BAD)) {
  test(`a message with ${what} is refused`, () => {
    assert.throws(() => post(xml), refused(says))
  })
}

test('what is no base64, no UTF-8 or too long is refused', () => {
  assert.throws(() => boundedXml('<a/>'), refused(/base64/))
  assert.throws(() => boundedXml(Buffer.from([0x3c, 0xff, 0x3e]).toString('base64')), refused(/UTF-8/))
  assert.throws(() => boundedXml('A'.repeat(XML_LIMITS.bytes * 2)), refused(/bytes/))
})

test('hostile messages get an answer of this kind within 50 ms each', () => {
  const directory = join(import.meta.dirname, 'hostile-xml')
  for (const name of readdirSync(directory)) {
    const xml = readFileSync(join(directory, name), 'utf8')
    const text = Buffer.from(xml.replace('REPEAT', '<x y="z">'.repeat(20_000))).toString('base64')
    const from = performance.now()
    assert.throws(() => boundedXml(text), refused(/./), name)
    assert.ok(performance.now() - from < 50, name)
  }
})
