import { TunnelError } from '../../shared/errors.ts'

/** What people may be called: a name or an address of mail, in lower case. */
const LOGIN_NAME = /^[a-z0-9][a-z0-9._+@-]{0,126}$/

/** Ids of people; a login name that looks like one could stand for somebody else. */
const ID = /^[0-9a-f]{32}$/

/** The form in which login names are kept and looked for: no two names that a person takes for one. */
export function normalLogin(text: string): string {
  return text.trim().toLowerCase()
}

/** @throws {TunnelError} INPUT */
export function parseLogin(text: string): string {
  const login = normalLogin(text)
  if (LOGIN_NAME.test(login) && !ID.test(login)) return login
  const rule = '1 to 127 of a-z, 0-9 and . _ + @ -, beginning with a letter or digit'
  throw new TunnelError('INPUT', `login: a login name is ${rule}.`, { field: 'login', rule })
}
