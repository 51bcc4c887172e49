import { TunnelError } from '../../shared/errors.ts'
import { KeyedBuckets } from '../gateway/keyed-buckets.ts'

/** How often a login may be tried, beside the lockout. */
export interface LoginRates {
  /** For one IPv4 address or IPv6 /64: in a second on average, and at once. A company may come from one. */
  readonly addressPerSecond: number
  readonly addressBurst: number
  /** For one login name: in a second on average, and at once. Where the person is known from has a budget of its own. */
  readonly accountPerSecond: number
  readonly accountBurst: number
}

export const LOGIN_RATES: LoginRates = {
  addressPerSecond: 1,
  addressBurst: 30,
  accountPerSecond: 0.2,
  accountBurst: 15,
}

/** Addresses, and accounts, that are counted at a time. */
const KEYS_MAX = 20_000

/** Who may try to log in now, by address and by account. */
export class LoginGate {
  readonly #addresses: KeyedBuckets
  readonly #accounts: KeyedBuckets

  constructor({ addressPerSecond, addressBurst, accountPerSecond, accountBurst }: LoginRates) {
    this.#addresses = new KeyedBuckets({
      perSecond: addressPerSecond,
      burst: addressBurst,
      maxKeys: KEYS_MAX,
    })
    this.#accounts = new KeyedBuckets({ perSecond: accountPerSecond, burst: accountBurst, maxKeys: KEYS_MAX })
  }

  /** @throws {TunnelError} ENHANCE_CALM */
  passAddress(address: string, now: number): void {
    if (!this.#addresses.take(address, now)) throw tooMany()
  }

  /**
   * @param from the address, where the account was used from it before; else empty, so that strangers use up their own budget only
   * @throws {TunnelError} ENHANCE_CALM
   */
  passAccount(
    account: { readonly tenantId: string; readonly login: string },
    from: string,
    now: number,
  ): void {
    if (!this.#accounts.take(`${account.tenantId}\n${account.login}\n${from}`, now)) throw tooMany()
  }
}

function tooMany(): TunnelError {
  return new TunnelError('ENHANCE_CALM', 'Too many logins.')
}
