import type { Act } from '../audit/record.ts'
import type { Assignment } from '../operations/operation.ts'

/** Most addresses that are remembered of a person, most sessions and most links, keys, factors at a time. */
export const PERSON_MAX = { addresses: 20, sessions: 50, factors: 20, keys: 50, assignments: 200 } as const

export interface PersonRecord {
  readonly id: string
  /** Unique in the tenant. */
  readonly login: string
  readonly createdAt: number
  /** Undefined where no password was set yet, or where single sign-on is the only way. */
  readonly passwordHash: string | undefined
  /** Logins that failed since the last that did not. */
  readonly failures: number
  readonly lockedAt: number | undefined
}

/** What a login looks at, in as many statements for a name that nobody has as for one that somebody has. */
export interface LoginView {
  readonly person: PersonRecord | undefined
  /** Undefined where this person never logged in from there; else how often it failed from there since. */
  readonly addressFailures: number | undefined
  /** Owners and administrators of the whole tenant beside this person who have a password and are not locked. */
  readonly otherAdministrators: number
  readonly isAdministrator: boolean
  readonly lockoutAfter: number
}

/** How a session is carried: by a browser's cookie, or as a token by the command line. */
export type Carrier = 'cookie' | 'bearer'

export interface SessionRecord {
  /** Names the session; no secret. */
  readonly id: string
  readonly personId: string
  readonly carrier: Carrier
  /** What was shown at login, such as `password totp`. */
  readonly how: string
  readonly source: string
  readonly createdAt: number
  readonly authenticatedAt: number
  /** True where a second factor was shown, here or at an identity provider whose word counts. */
  readonly hasSecondFactor: boolean
  /** When it was last used, as far as it was noted. */
  readonly seenAt: number
}

export interface NewSession extends SessionRecord {
  /** SHA-256 of the token, 32 bytes. */
  readonly hash: Uint8Array
  /** What counts as one address of those where the person is known from. */
  readonly address: string
}

export interface FactorRecord {
  readonly id: string
  readonly kind: 'totp' | 'webauthn'
  readonly name: string
  readonly createdAt: number
  /** False until the person has shown once that it works. */
  readonly isConfirmed: boolean
  /** The last time step of a TOTP that was used, or the signature counter of a WebAuthn credential. */
  readonly counter: number
  /** Public part of a WebAuthn credential, as JSON; empty for TOTP. */
  readonly credential: string
}

export interface KeyRecord {
  readonly id: string
  readonly personId: string
  readonly name: string
  readonly assignments: readonly Assignment[]
  readonly createdAt: number
  readonly expiresAt: number
}

export interface NewKey extends KeyRecord {
  readonly hash: Uint8Array
}

/** People, and what they may. */
export interface PersonStore {
  /** By id or login name; no login name has the form of an id. */
  findPerson(tenantId: string, idOrLogin: string): Promise<PersonRecord | undefined>
  /** By login name, those after `after`; at most `limit`. */
  listPeople(tenantId: string, after: string, limit: number): Promise<readonly PersonRecord[]>
  /** @throws {TunnelError} CONFLICT where the login name is taken, NOT_FOUND where there is no such tenant */
  addPerson(
    tenantId: string,
    person: { readonly id: string; readonly login: string },
    act: Act,
  ): Promise<void>
  /**
   * With sessions, keys, factors and links. @returns false where there is no such person
   * @throws {TunnelError} CONFLICT where it is the last owner
   */
  removePerson(tenantId: string, id: string, act: Act): Promise<boolean>
  listAssignments(tenantId: string, personId: string): Promise<readonly Assignment[]>
  /**
   * Gives a person a role at a place, and ends the sessions of the person. @returns false where it was so already
   * @throws {TunnelError} NOT_FOUND where there is no such person, OVERLOADED where it has too many
   */
  grantRole(tenantId: string, personId: string, assignment: Assignment, act: Act): Promise<boolean>
  /**
   * Takes it back, and ends the sessions of the person. @returns false where there was no such assignment
   * @throws {TunnelError} CONFLICT where it is the last owner's
   */
  revokeRole(tenantId: string, personId: string, assignment: Assignment, act: Act): Promise<boolean>
  /** True where somebody is owner of the whole tenant. */
  hasOwner(tenantId: string): Promise<boolean>
  lockoutAfter(tenantId: string): Promise<number>
  setLockoutAfter(tenantId: string, failures: number, act: Act): Promise<void>
}

/** Logins, sessions, and the links that set a password. */
export interface LoginStore {
  viewLogin(tenantId: string, login: string, address: string): Promise<LoginView>
  /**
   * Counts a login that failed, of nobody where the name is unknown. @returns whether it locked the account
   * @param detail why, for the audit only
   */
  noteLoginFailure(
    tenantId: string,
    failure: { readonly personId: string | undefined; readonly address: string; readonly detail: string },
    act: Act,
  ): Promise<boolean>
  /** Adds a session, remembers its address and forgets the failures. The oldest sessions beyond the limit end. */
  openSession(tenantId: string, session: NewSession, act: Act): Promise<void>
  findSession(tenantId: string, hash: Uint8Array): Promise<SessionRecord | undefined>
  /** It was used; no act of anybody, without a record. */
  touchSession(tenantId: string, hash: Uint8Array, at: number): Promise<void>
  /**
   * Puts another token in the place of a session's, with a login of now. @returns false where it has ended
   * @param proof a session that once had a second factor keeps it
   */
  rotateSession(
    tenantId: string,
    id: string,
    proof: { readonly hash: Uint8Array; readonly hasSecondFactor: boolean },
    act: Act,
  ): Promise<boolean>
  /** @returns false where there is none */
  endSession(tenantId: string, id: string, act: Act): Promise<boolean>
  listSessions(tenantId: string, personId: string): Promise<readonly SessionRecord[]>
  /** Lets a locked account in again. @returns false where there is no such person */
  unlockPerson(tenantId: string, id: string, act: Act): Promise<boolean>
  /** Replaces the password, ends all sessions and links of the person. @returns false where there is none */
  setPassword(tenantId: string, personId: string, hash: string, act: Act): Promise<boolean>
  /** The same password under other parameters: nothing that anybody did. */
  rehashPassword(tenantId: string, personId: string, before: string, after: string): Promise<void>
  /**
   * Makes a link in the place of those before. Without a person it is the one for the first owner.
   * @throws {TunnelError} NOT_FOUND where there is no such person or tenant
   */
  createLink(
    tenantId: string,
    link: { readonly hash: Uint8Array; readonly personId: string | undefined; readonly expiresAt: number },
    act: Act,
  ): Promise<void>
  /** Whose link this is that can still be used. @returns undefined where there is none */
  findLink(
    tenantId: string,
    hash: Uint8Array,
    now: number,
  ): Promise<{ readonly personId: string | undefined } | undefined>
  /** Spends a link on a password, as {@link LoginStore.setPassword}. @returns false where it can no longer be used */
  spendLink(tenantId: string, linkHash: Uint8Array, passwordHash: string, act: Act): Promise<boolean>
  /** Spends the link of the first owner. @returns false where it can no longer be used, or there is an owner */
  addFirstOwner(
    tenantId: string,
    linkHash: Uint8Array,
    owner: { readonly id: string; readonly login: string; readonly passwordHash: string },
    act: Act,
  ): Promise<boolean>
}

/** Whether a tenant demands a second factor of its people. */
export interface SecondFactorStore {
  /** In ms since 1970; undefined where it is not demanded. */
  secondFactorSince(tenantId: string): Promise<number | undefined>
  /** @returns false where it was so already. @throws {TunnelError} NOT_FOUND where there is no such tenant */
  demandSecondFactor(tenantId: string, isDemanded: boolean, act: Act): Promise<boolean>
}

/** Second factors, recovery codes and keys. */
export interface FactorStore extends SecondFactorStore {
  listFactors(tenantId: string, personId: string): Promise<readonly FactorRecord[]>
  /** @throws {TunnelError} NOT_FOUND where there is no such person, OVERLOADED where it has too many */
  addFactor(tenantId: string, personId: string, factor: FactorRecord, act: Act): Promise<void>
  /** @returns false where there is none that waits for it */
  confirmFactor(tenantId: string, personId: string, id: string, counter: number, act: Act): Promise<boolean>
  /** Moves the counter forward. @returns false where it is there or beyond: what was shown was shown before */
  useFactor(tenantId: string, personId: string, id: string, counter: number): Promise<boolean>
  /** @returns false where there is no such factor */
  removeFactor(tenantId: string, personId: string, id: string, act: Act): Promise<boolean>
  /** Puts these codes in the place of all before. @throws {TunnelError} NOT_FOUND where there is no such person */
  setRecoveryCodes(tenantId: string, personId: string, hashes: readonly Uint8Array[], act: Act): Promise<void>
  countRecoveryCodes(tenantId: string, personId: string): Promise<number>
  /** @returns false where there is no such code, or it was spent */
  spendRecoveryCode(tenantId: string, personId: string, hash: Uint8Array, act: Act): Promise<boolean>
  /** @throws {TunnelError} NOT_FOUND where there is no such person, OVERLOADED where it has too many */
  addKey(tenantId: string, key: NewKey, act: Act): Promise<void>
  findKey(tenantId: string, hash: Uint8Array): Promise<KeyRecord | undefined>
  listKeys(tenantId: string, personId: string): Promise<readonly KeyRecord[]>
  /** @returns false where there is no such key of this person */
  removeKey(tenantId: string, personId: string, id: string, act: Act): Promise<boolean>
}

export interface PeopleStore extends PersonStore, LoginStore, FactorStore {}
