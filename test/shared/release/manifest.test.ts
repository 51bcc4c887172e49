import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isTunnelError } from '../../../shared/errors.ts'
import { canonicalText } from '../../../shared/release/canonical.ts'
import {
  formatManifest,
  MANIFEST_MAX_BYTES,
  type Manifest,
  parseManifest,
} from '../../../shared/release/manifest.ts'
import { compareVersions, isVersion } from '../../../shared/release/version.ts'
import { CONTENT, manifestText, release } from './release-fixture.ts'

/** FUZZ_RUNS=100000 looks longer. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 500)

const bytes = (text: string) => Buffer.from(text)
const refused = (text: string, detail: RegExp) =>
  assert.throws(
    () => parseManifest(bytes(text)),
    (error) => isTunnelError(error) && error.code === 'RELEASE_MANIFEST' && detail.test(error.detail),
  )

/** The manifest's text with another member in what is signed. */
function changed(change: Readonly<Record<string, unknown>>): string {
  const manifest = JSON.parse(manifestText(release())) as { signed: object }
  return `${canonicalText({ ...manifest, signed: { ...manifest.signed, ...change } })}\n`
}

const file = (name: string) => ({ name, size: 1, sha256: '0'.repeat(64) })

describe('canonical text', () => {
  it('has one form for a value, whatever the order in which its keys came', () => {
    assert.equal(
      canonicalText({ b: [1, 'x'], a: { d: true, c: '"\u2028' } }),
      '{"a":{"c":"\\"\u2028","d":true},"b":[1,"x"]}',
    )
  })

  it('is refused to what can be written in more than one way', () => {
    for (const value of [1.5, 2 ** 53, Number.NaN, null, undefined, () => 0]) {
      assert.throws(() => canonicalText({ value }), RangeError)
    }
  })
})

describe('a version', () => {
  it('comes in the order of Semantic Versioning', () => {
    const order = [
      '0.9.10',
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta',
      '1.0.0-beta.2',
      '1.0.0-beta.11',
      '1.0.0-rc.1',
      '1.0.0',
      '1.0.1',
      '1.10.0',
    ]
    for (const [index, one] of order.entries()) {
      for (const [place, other] of order.entries()) {
        assert.equal(Math.sign(compareVersions(one, other)), Math.sign(index - place), `${one} ${other}`)
      }
    }
  })

  it('is not everything that looks like one', () => {
    for (const text of [
      '1.2',
      '1.2.3.4',
      '01.2.3',
      '1.2.3-',
      '1.2.3-01',
      '1.2.3+build',
      'v1.2.3',
      '1.2.3\n',
      '1.2.3-a..b',
      `1.2.3-${'a.'.repeat(20)}a`,
    ]) {
      assert.equal(isVersion(text), false, text)
    }
  })
})

describe('a manifest', () => {
  it('is read back as it was written', () => {
    const manifest = parseManifest(bytes(manifestText(release())))
    assert.deepEqual(manifest.signed, release())
    assert.equal(formatManifest(manifest), manifestText(release()))
    assert.equal(manifest.signed.files[0]?.size, CONTENT.length)
  })

  it('S35: has no file outside of its directory, and none by two names', () => {
    for (const name of [
      '../agent.deb',
      'a/b',
      'a\\b',
      '/etc/passwd',
      'c:agent',
      '..',
      '.hidden',
      'a..b',
      'Agent.deb',
      'agent.',
      'agent\u0000',
      '',
    ]) {
      refused(changed({ files: [file(name)] }), /signed\.files\.0\.name/)
    }
    refused(changed({ files: [file('ab'), file('ab')] }), /signed\.files/)
    refused(changed({ files: [file('bb'), file('aa')] }), /signed\.files/)
    refused(changed({ files: [] }), /signed\.files/)
  })

  it('has limits on everything', () => {
    const many = Array.from({ length: 257 }, (_, index) => file(`f${String(index).padStart(3, '0')}`))
    refused(changed({ files: many }), /signed\.files/)
    refused(changed({ files: [{ ...file('bomb'), size: 10 * 2 ** 30 }] }), /size/)
    refused(changed({ files: [file('half')] }).replace('"size":1', '"size":1.5'), /size/)
    refused(' '.repeat(MANIFEST_MAX_BYTES + 1), /more than 65536 bytes/)
    refused(changed({ expires: '2027-06-01' }), /expires/)
    refused(changed({ expires: '2027-02-30T00:00:00Z' }), /expires/)
    refused(changed({ version: '1.2' }), /version/)
    refused(changed({ product: 'other' }), /product/)
    refused(changed({ surprise: true }), /surprise/)
  })

  it('is taken in its one form only', () => {
    const text = manifestText(release())
    refused(text.slice(0, -1), /one form/)
    refused(`${text}\n`, /one form/)
    refused(text.replace('"version":', '"version": '), /one form/)
    // Another parser might take the first of two.
    refused(text.replace('"version":', '"version":"9.9.9","version":'), /one form/)
    refused(text.replace('1.2.0', '1.2.\\u0030'), /one form/)
    refused(text.slice(0, text.length / 2), /not JSON/)
    refused(`\ufeff${text}`, /not JSON|one form/)
  })

  it('never becomes something else by a change of its bytes', () => {
    const text = bytes(manifestText(release()))
    const near = fc
      .tuple(fc.nat(text.length - 1), fc.nat(40), fc.uint8Array({ maxLength: 40 }))
      .map(([at, gone, put]) => Buffer.concat([text.subarray(0, at), put, text.subarray(at + gone)]))
    fc.assert(
      fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 2_000 }), fc.json().map(bytes)), (input) => {
        let manifest: Manifest
        try {
          manifest = parseManifest(input)
        } catch (error) {
          assert.ok(isTunnelError(error) && error.code === 'RELEASE_MANIFEST', String(error))
          return
        }
        assert.deepEqual(bytes(formatManifest(manifest)), Buffer.from(input))
      }),
      { numRuns: RUNS },
    )
  })
})
