import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { Expiring } from './expiring.ts'
import { makeToken, parseToken } from './token.ts'

/** Times of the device grant (RFC 8628), in ms. */
export const DEVICE_LIFE = { codeMs: 10 * 60_000, intervalMs: 2_000 } as const

/** Command lines that wait, in the whole relay. */
const WAITING_MAX = 1_000

/** No vowels, so no words; nothing that looks like something else (RFC 8628 section 6.1). */
const ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ'
const CODE_LENGTH = 8

/** A command line that asks to be let in. */
interface Device {
  readonly tenantId: string
  readonly userCode: string
  readonly source: string
  readonly askedAt: number
  polledAt: number
  approval: Approval | undefined
}

/** By whom it was let in. */
export interface Approval {
  readonly tenantId: string
  readonly personId: string
  readonly authenticatedAt: number
  readonly hasSecondFactor: boolean
}

/** Command lines that wait for a person to let them in. */
export class Devices {
  readonly #effects: Pick<Effects, 'randomBytes' | 'now' | 'date'>
  readonly #byToken = new Expiring<Device>(WAITING_MAX)

  constructor(effects: Pick<Effects, 'randomBytes' | 'now' | 'date'>) {
    this.#effects = effects
  }

  /** The token that the command line keeps, and the code that its person reads to the relay. */
  begin(tenantId: string, source: string) {
    const { text, hash } = makeToken('device', tenantId, this.#effects)
    const userCode = this.#userCode()
    const now = this.#effects.now()
    const device = {
      tenantId,
      userCode,
      source,
      askedAt: this.#effects.date(),
      polledAt: 0,
      approval: undefined,
    }
    this.#byToken.set(hash.toString('hex'), device, now + DEVICE_LIFE.codeMs, now)
    return {
      deviceCode: text.reveal(),
      userCode,
      expiresInMs: DEVICE_LIFE.codeMs,
      intervalMs: DEVICE_LIFE.intervalMs,
    }
  }

  /** What asks under a code of this tenant. @throws {TunnelError} NOT_FOUND */
  find(tenantId: string, userCode: string): Pick<Device, 'source' | 'askedAt'> {
    return this.#waiting(tenantId, userCode)
  }

  /** Lets it in. @throws {TunnelError} NOT_FOUND */
  approve(userCode: string, approval: Approval): void {
    this.#waiting(approval.tenantId, userCode).approval = approval
  }

  /**
   * Whether it was let in; then once only. @returns undefined while nobody has decided
   * @throws {TunnelError} LOGIN where it has taken too long or never asked; ENHANCE_CALM where it asks too often
   */
  poll(deviceCode: string): Approval | undefined {
    const key = parseToken('device', deviceCode)?.hash.toString('hex') ?? ''
    const now = this.#effects.now()
    const device = this.#byToken.get(key, now)
    if (device === undefined) throw new TunnelError('LOGIN', 'Nobody has approved it in time. Begin again.')
    // Half of the interval: the network is not even.
    if (now - device.polledAt < DEVICE_LIFE.intervalMs / 2) throw new TunnelError('ENHANCE_CALM')
    device.polledAt = now
    if (device.approval !== undefined) this.#byToken.take(key, now)
    return device.approval
  }

  #waiting(tenantId: string, userCode: string): Device {
    const wanted = userCode.toUpperCase().replaceAll(/[^A-Z]/g, '')
    const found = this.#byToken
      .values(this.#effects.now())
      .find((one) => one.tenantId === tenantId && one.userCode.replace('-', '') === wanted)
    if (found === undefined || found.approval !== undefined) {
      throw new TunnelError('NOT_FOUND', 'Nothing asks to be let in under this code.', {
        next: 'sallyport login',
      })
    }
    return found
  }

  #userCode(): string {
    let text = ''
    while (text.length < CODE_LENGTH) {
      for (const byte of this.#effects.randomBytes(CODE_LENGTH)) {
        // 240 is a multiple of 20, so each letter is as likely as any other.
        if (byte < 240 && text.length < CODE_LENGTH) text += ALPHABET.charAt(byte % ALPHABET.length)
      }
    }
    return `${text.slice(0, 4)}-${text.slice(4)}`
  }
}
