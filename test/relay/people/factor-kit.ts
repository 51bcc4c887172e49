import assert from 'node:assert/strict'
import { totpCode, totpStep } from '../../../relay/people/totp.ts'
import type { PeopleKit } from './people-kit.ts'

const ME = '/tenants/default/me'

/** Bytes of RFC 4648 base32 without padding. */
function fromBase32(text: string): Buffer {
  const bits = [...text].map((letter) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
  )
  return Buffer.from(
    bits
      .join('')
      .match(/.{8}/g)
      ?.map((byte) => Number.parseInt(byte, 2)) ?? [],
  )
}

/** Adds a program for codes to the account of a session. @returns its codes, `steps` steps from now */
export async function addTotp(kit: PeopleKit, cookie: string): Promise<(steps?: number) => string> {
  const begun = await kit.ask('POST', `${ME}/totp`, { name: 'phone' }, { cookie })
  assert.equal(begun.status, 200, begun.text)
  const secret = fromBase32(String(begun.body.secret))
  const code = (steps = 0) => totpCode(secret, totpStep(kit.effects.date()) + steps)
  const confirmed = await kit.ask(
    'POST',
    `${ME}/totp/${String(begun.body.id)}/confirm`,
    { code: code() },
    { cookie },
  )
  assert.equal(confirmed.status, 200, confirmed.text)
  return code
}
