import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import { addressKey } from '../gateway/admission.ts'
import type { LoginView, PersonRecord } from '../store/people-store.ts'
import { actOf, type Origin, type People } from './people.ts'

/** What every login that does not succeed is told, whatever the reason. */
const REFUSED = 'The name, the password or the code is not right, or the account is locked.'

export interface PasswordLogin {
  readonly tenantId: string
  readonly login: string
  readonly password: Secret<string>
}

/** Somebody who has shown the password of a person that may log in. */
export interface ProvedPassword {
  readonly tenantId: string
  readonly person: Pick<PersonRecord, 'id' | 'login'>
}

/**
 * Checks a password. A name that nobody has, a wrong password, an account that is locked and a tenant that does not exist take
 * the same way, the same statements and the same hash, and end in the same words.
 * @throws {TunnelError} LOGIN; ENHANCE_CALM and OVERLOADED, which say nothing of the account
 */
export async function provePassword(
  people: People,
  { tenantId, login, password }: PasswordLogin,
  origin: Origin,
): Promise<ProvedPassword> {
  const { store, hasher } = people
  const view = await pass(people, { tenantId, login }, origin)
  const { person } = view
  const { isRight, isOld } = await hasher.verify(password, person?.passwordHash)
  const isShut = isLocked(view) || people.closed.has(tenantId)
  if (person === undefined || !isRight || isShut) {
    const detail =
      person === undefined
        ? 'unknown name'
        : `${isRight ? 'right' : 'wrong'} password${isShut ? ', locked' : ''}`
    throw await noteFailure(people, { tenantId, personId: person?.id, detail }, origin)
  }
  if (isOld && person.passwordHash !== undefined) {
    await store.rehashPassword(tenantId, person.id, person.passwordHash, await hasher.hash(password))
  }
  return { tenantId, person: { id: person.id, login: person.login } }
}

/**
 * For the second step of a login: the account may have been locked since the first.
 * @throws {TunnelError} LOGIN, ENHANCE_CALM
 */
export async function requireOpenDoor(
  people: People,
  account: { readonly tenantId: string; readonly login: string },
  origin: Origin,
): Promise<void> {
  const view = await pass(people, account, origin)
  if (view.person === undefined || isLocked(view)) throw new TunnelError('LOGIN', REFUSED)
}

/** Takes from the budgets of address and account, and looks at the account. */
async function pass(
  { store, effects, gate }: People,
  account: { readonly tenantId: string; readonly login: string },
  { source }: Origin,
): Promise<LoginView> {
  const address = addressKey(source)
  gate.passAddress(address, effects.now())
  const view = await store.viewLogin(account.tenantId, account.login, address)
  gate.passAccount(account, view.addressFailures === undefined ? '' : address, effects.now())
  return view
}

/**
 * A locked account stays shut until an administrator opens it, with one exception: the last administrator who is left, from
 * an address from which that one has logged in before and which has not failed as often itself. Else anybody who knows a
 * name could shut a tenant out of its own relay.
 */
function isLocked(view: LoginView): boolean {
  if (view.person?.lockedAt === undefined) return false
  const isLastDoor = view.isAdministrator && view.otherAdministrators === 0
  return !(isLastDoor && view.addressFailures !== undefined && view.addressFailures < view.lockoutAfter)
}

/** Counts a failure, and gives the refusal to be thrown. */
export async function noteFailure(
  people: People,
  { tenantId, personId, detail }: { tenantId: string; personId: string | undefined; detail: string },
  origin: Origin,
): Promise<TunnelError> {
  const failure = { personId, address: addressKey(origin.source), detail }
  await people.store.noteLoginFailure(tenantId, failure, actOf(people, '', origin))
  return new TunnelError('LOGIN', REFUSED)
}
