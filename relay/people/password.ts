import { TunnelError } from '../../shared/errors.ts'
import { commonPasswords, isMadeOfCommon } from './common-passwords.ts'

/** Length of passwords, in characters. The upper end only bounds the work. */
export const PASSWORD_LENGTH = { min: 12, max: 256 } as const

/** The same few characters again and again. */
const REPEATED = /^(.{1,11}?)\1+$/s

/** The form in which a password is hashed: the same characters from every keyboard (Unicode NFKC). */
export function normalPassword(text: string): string {
  return text.normalize('NFKC')
}

/**
 * Refuses what would be guessed first. There are no rules about kinds of characters: they make passwords harder to
 * remember and no harder to guess.
 * @throws {TunnelError} INPUT, with a detail that says nothing of the password
 */
export async function checkNewPassword(password: string, login: string): Promise<void> {
  const text = normalPassword(password)
  const { length } = [...text]
  if (length < PASSWORD_LENGTH.min || length > PASSWORD_LENGTH.max) {
    throw refusal(`has ${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters`)
  }
  const lower = text.toLowerCase()
  if (new Set(lower).size < 4) throw refusal('has more than three different characters')
  if (REPEATED.test(lower)) throw refusal('is not the same again and again')
  if (lower === login || lower.replaceAll(login, '').length < 4) throw refusal('is not the login name')
  if (isMadeOfCommon(lower, await commonPasswords())) {
    throw refusal('is none of the most common ones, nor made of one or two of them')
  }
}

function refusal(rule: string): TunnelError {
  return new TunnelError('INPUT', `password: a password ${rule}.`, {
    ...{ field: 'password', rule: `a password ${rule}` },
    next: 'choose another; a sentence of your own is good',
  })
}
