import { TunnelError } from '../../shared/errors.ts'

/** Length of passwords, in characters. The upper end only bounds the work. */
export const PASSWORD_LENGTH = { min: 12, max: 256 } as const

/**
 * The most common passwords of twelve characters and more, in lower case. What is shorter is refused anyway; what a rule
 * about kinds of characters makes of a common word (`Password123!`) is here, because such rules ask for it.
 */
const COMMON: ReadonlySet<string> = new Set([
  '111111111111',
  '121212121212',
  '123123123123',
  '123412341234',
  '1234567890123',
  '123456789012',
  '12345678901234567890',
  '123456789abc',
  '123456789qwe',
  '123qweasdzxc',
  '1q2w3e4r5t6y',
  '1qaz2wsx3edc',
  '1qaz2wsx3edc4rfv',
  'a1b2c3d4e5f6',
  'abc123abc123',
  'abcdefghijkl',
  'abcdefghijklm',
  'adminadmin123',
  'administrator',
  'administrator1',
  'asdfasdfasdf',
  'asdfghjkl123',
  'changeme1234',
  'changemeplease',
  'contraseña123',
  'correcthorsebatterystaple',
  'iloveyou1234',
  'letmein12345',
  'letmeinplease',
  'motdepasse123',
  'p@ssw0rd1234',
  'p@ssword1234',
  'passw0rd1234',
  'password!234',
  'password1234',
  'password12345',
  'password123!',
  'password2025',
  'password2026',
  'passwordpassword',
  'passwort1234',
  'q1w2e3r4t5y6',
  'qazwsxedcrfv',
  'qwerty123456',
  'qwertyqwerty',
  'qwertyuiop12',
  'qwertyuiop123',
  'qwertyuiopasdfghjkl',
  'qwertzuiop12',
  'sallyport123',
  'sallyportadmin',
  'supersecret1',
  'thisisapassword',
  'welcome12345',
  'welcomewelcome',
  'zaq12wsxcde3',
  'zxcvbnm12345',
])

/** The form in which a password is hashed: the same characters from every keyboard (Unicode NFKC). */
export function normalPassword(text: string): string {
  return text.normalize('NFKC')
}

/**
 * Refuses what would be guessed first. There are no rules about kinds of characters: they make passwords harder to
 * remember and no harder to guess.
 * @throws {TunnelError} INPUT, with a detail that says nothing of the password
 */
export function checkNewPassword(password: string, login: string): void {
  const text = normalPassword(password)
  const { length } = [...text]
  if (length < PASSWORD_LENGTH.min || length > PASSWORD_LENGTH.max) {
    throw refusal(`has ${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters`)
  }
  const lower = text.toLowerCase()
  if (new Set(lower).size < 4) throw refusal('has more than three different characters')
  if (COMMON.has(lower) || lower === login || lower.replaceAll(login, '').length < 4) {
    throw refusal('is none of the most common ones, and not the login name')
  }
}

function refusal(rule: string): TunnelError {
  return new TunnelError('INPUT', `password: a password ${rule}.`, {
    ...{ field: 'password', rule: `a password ${rule}` },
    next: 'choose another; a sentence of your own is good',
  })
}
