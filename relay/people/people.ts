import type { Effects } from '../../shared/effects.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import type { Act, Audit } from '../audit/record.ts'
import type { Enforcement } from '../enforcement/enforcement.ts'
import type { Store } from '../store/store.ts'
import { Devices } from './devices.ts'
import { Expiring } from './expiring.ts'
import { type HashCost, PasswordHasher } from './hasher.ts'
import { LOGIN_RATES, LoginGate, type LoginRates } from './login-rates.ts'
import type { PendingLogin } from './pending.ts'
import type { Registration } from './webauthn.ts'

/** Logins that wait for a second factor, and registrations that wait for an authenticator, in the whole relay. */
const WAITING_MAX = 10_000

/** What logins may cost and how often they may be tried. */
export interface LoginLimits {
  readonly rates?: LoginRates
  readonly hashCost?: HashCost
}

export interface PeopleOptions extends LoginLimits {
  /** Says whether somebody may come from where he comes, and ends what he listens to when he may no more. */
  readonly enforcement: Pick<Enforcement, 'checkLogin' | 'listeners'>
  readonly store: Store
  readonly effects: Effects
  readonly audit: Audit
  /** Where browsers reach the relay. */
  readonly address: () => RelayAddress
  /** Tenants that are closed: nobody of them logs in. */
  readonly closed: ReadonlySet<string>
}

/** What logins, sessions and factors share while the relay runs. What is lost with it is begun again by those who wait. */
export interface People extends Omit<PeopleOptions, keyof LoginLimits> {
  readonly hasher: PasswordHasher
  readonly gate: LoginGate
  readonly pending: Expiring<PendingLogin>
  readonly registrations: Expiring<Registration>
  readonly devices: Devices
}

/** Who asks, as far as it is known before a login. */
export interface Origin {
  readonly source: string
  readonly traceId: string
}

export function createPeople(options: PeopleOptions): People {
  const { store, effects, audit, address, closed, enforcement, rates = LOGIN_RATES, hashCost } = options
  return {
    ...{ store, effects, audit, address, closed, enforcement },
    hasher: new PasswordHasher({ effects, ...(hashCost === undefined ? {} : { cost: hashCost }) }),
    gate: new LoginGate(rates),
    pending: new Expiring(WAITING_MAX),
    registrations: new Expiring(WAITING_MAX),
    devices: new Devices(effects),
  }
}

/** What a person does, or where the id is empty nobody that is known. */
export function actOf({ effects }: Pick<People, 'effects'>, personId: string, origin: Origin): Act {
  const kind = personId === '' ? 'nobody' : 'person'
  const { source, traceId } = origin
  return { actor: { kind, id: personId }, source, traceId, at: effects.date() }
}

/** 128 random bits in hexadecimal: names a person, session, factor or key. */
export function newId({ effects }: Pick<People, 'effects'>): string {
  return effects.randomBytes(16).toString('hex')
}
