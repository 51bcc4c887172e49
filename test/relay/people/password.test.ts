import assert from 'node:assert/strict'
import { test } from 'node:test'
import { commonPasswords, isMadeOfCommon } from '../../../relay/people/common-passwords.ts'
import { checkNewPassword } from '../../../relay/people/password.ts'
import { isTunnelError } from '../../../shared/errors.ts'

async function refused(password: string, rule: RegExp): Promise<void> {
  await assert.rejects(
    checkNewPassword(password, 'ann'),
    (error) =>
      isTunnelError(error) &&
      error.code === 'INPUT' &&
      rule.test(error.detail) &&
      !error.detail.includes(password),
    password,
  )
}

const COMMON = [
  ...['123456789abc', 'qwertyuiopasdfghjkl', '1qaz2wsx3edc4rfv', 'leavemealone', 'needforspeed'],
  ...[
    'password1234',
    'Password2026!',
    'P@ssw0rd1234',
    'iloveyou1234',
    'letmeinplease',
    'Summer2026!!',
    'Qwertz123456',
  ],
  ...['dragonmonkey12', 'Welcome.12345', 'sallyport2026', 'changemeplease', 'zaq12wsxcde3'],
]

for (const password of COMMON) {
  test(`${password} is too common`, () => refused(password, /common/))
}

const OWN = [
  ...['the harbour lies still tonight', 'correct horse battery', 'blue-otter-fence', 'mein hund frisst gras'],
  ...['kV9#mLp2qXz!', 'qK3vTz8RwLp1', 'тихая гавань ночью', `${'x'.repeat(200)}kV9#mLp2`],
]

for (const password of OWN) {
  test(`${password.slice(-30)} is taken`, () => checkNewPassword(password, 'ann'))
}

test('what is too short, too long, repeated or the login name is refused', async () => {
  await refused('kV9#mLp2qXz', /12 to 256/)
  await refused('kV9#mLp2qXz!'.repeat(22), /12 to 256/)
  await refused('aabbaabbccaa', /different/)
  await refused('Juli26Juli26Juli26', /again and again/)
  await refused('passwordpassword', /again and again/)
  await refused('annannannbob', /login name/)
})

test('the list has at least 3,000 passwords, and most of it is refused once it is made long enough', async () => {
  const common = await commonPasswords()
  assert.ok(common.size > 40_000, String(common.size))
  const few = [...common].filter((one) => one.length >= 3).slice(0, 3_000)
  const lengthened = few.map((one) => `${one}${'1234567890'.slice(0, Math.max(0, 12 - one.length))}`)
  assert.deepEqual(
    lengthened.filter((one) => !isMadeOfCommon(one, common)),
    [],
  )
})

test('the longest password is looked at within 20 ms', async () => {
  const common = await commonPasswords()
  const from = performance.now()
  isMadeOfCommon('abc123'.repeat(42), common)
  assert.ok(performance.now() - from < 20)
})
