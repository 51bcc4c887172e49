import assert from 'node:assert/strict'
import { test } from 'node:test'
import { base32, matchTotp, totpCode, totpStep, totpUri } from '../../../relay/people/totp.ts'

const SECRET = Buffer.from('12345678901234567890')

test('codes are those of RFC 6238 appendix B, in six digits', () => {
  const vectors: readonly [number, string][] = [
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ]
  for (const [seconds, code] of vectors) assert.equal(totpCode(SECRET, totpStep(seconds * 1_000)), code)
})

test('a code is matched one step to each side, and never at or before the last that was used', () => {
  const at = 1_234_567_890_000
  const now = totpStep(at)
  for (const steps of [-1, 0, 1])
    assert.equal(matchTotp(SECRET, totpCode(SECRET, now + steps), at, 0), now + steps)
  for (const steps of [-2, 2])
    assert.equal(matchTotp(SECRET, totpCode(SECRET, now + steps), at, 0), undefined)
  assert.equal(matchTotp(SECRET, totpCode(SECRET, now), at, now), undefined)
  assert.equal(matchTotp(SECRET, totpCode(SECRET, now - 1), at, now), undefined)
  for (const odd of ['', '00592', '0059245', '００５９２４', 'é05924'])
    assert.equal(matchTotp(SECRET, odd, at, 0), undefined)
})

test('secrets are written as RFC 4648 has them, and the address names issuer and account', () => {
  const vectors = {
    '': '',
    f: 'MY',
    fo: 'MZXQ',
    foo: 'MZXW6',
    foob: 'MZXW6YQ',
    fooba: 'MZXW6YTB',
    foobar: 'MZXW6YTBOI',
  }
  for (const [plain, text] of Object.entries(vectors)) assert.equal(base32(Buffer.from(plain)), text)
  assert.equal(
    totpUri(SECRET, { issuer: 'Sallyport relay', account: 'ann@example.org' }),
    'otpauth://totp/Sallyport%20relay:ann%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sallyport%20relay&algorithm=SHA1&digits=6&period=30',
  )
})
