import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Expiring } from '../../../relay/people/expiring.ts'
import { parseLogin } from '../../../relay/people/login-name.ts'
import { hashRecoveryCode, makeRecoveryCode } from '../../../relay/people/recovery-code.ts'
import { makeToken, parseToken, TOKEN_PREFIXES, type TokenKind } from '../../../relay/people/token.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

const KINDS = Object.keys(TOKEN_PREFIXES) as TokenKind[]

test('a token names its tenant and is of one kind', () => {
  const effects = new FakeEffects()
  for (const kind of KINDS) {
    const { text, hash } = makeToken(kind, 'acme-2', effects)
    for (const other of KINDS) {
      const parsed = parseToken(other, text.reveal())
      assert.deepEqual(parsed, other === kind ? { tenantId: 'acme-2', hash } : undefined)
    }
    assert.equal(`${text}`, '[redacted]')
  }
})

test('what is no token is none, whatever it looks like', () => {
  const random = 'x'.repeat(43)
  const wrong = ['', 'sp_key_', `sp_key_${random}`, `sp_key__${random}`, `sp_key_Acme_${random}`]
  for (const text of [
    ...wrong,
    `sp_key_acme_${random}x`,
    `sp_key_acme_${random.slice(1)}`,
    `sp_key_a/b_${random}`,
  ]) {
    assert.equal(parseToken('key', text), undefined, text)
  }
})

test('a recovery code is known with or without hyphens and capitals', () => {
  const { text, hash } = makeRecoveryCode(new FakeEffects())
  const plain = text.reveal()
  for (const typed of [
    plain,
    plain.toUpperCase(),
    plain.replaceAll('-', ''),
    ` ${plain.replaceAll('-', ' ')} `,
  ]) {
    assert.deepEqual(hashRecoveryCode(typed), hash)
  }
  assert.notDeepEqual(hashRecoveryCode(`${plain}a`), hash)
})

test('what expires is gone at its time, is taken once, and is of bounded number', () => {
  const memory = new Expiring<number>(3)
  memory.set('a', 1, 100, 0)
  assert.equal(memory.get('a', 99), 1)
  assert.equal(memory.get('a', 100), undefined)
  for (const key of ['b', 'c', 'd', 'e']) memory.set(key, 2, 1_000, 200)
  assert.equal(memory.size, 3)
  assert.equal(memory.get('b', 200), undefined)
  assert.equal(memory.take('e', 200), 2)
  assert.equal(memory.take('e', 200), undefined)
  assert.equal(memory.values(200).length, 2)
})

test('login names are lower case, and none looks like an id', () => {
  assert.equal(parseLogin(' Ann.Lee+ops@Example.org '), 'ann.lee+ops@example.org')
  for (const text of ['', '-ann', 'ann lee', 'änn', 'a'.repeat(128), '0'.repeat(32), 'ann\n']) {
    if (text === 'ann\n') assert.equal(parseLogin(text), 'ann')
    else assert.throws(() => parseLogin(text), { code: 'INPUT', field: 'login' }, text)
  }
})
