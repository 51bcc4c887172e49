import { lookup } from 'node:dns/promises'
import type { RelayAddress } from '../shared/identity/relay-address.ts'

/** The addresses behind the names of the relays, which no rule may reach unless it says so. */
export interface RelayNumbers {
  /** True once every name that was asked for has been answered. */
  readonly isKnown: boolean
  /**
   * Asks anew. To be called before the same names are dialled, not waited for: who dials needs the same answer and two round
   * trips more. A name that has no answer keeps the numbers of before. Never rejects.
   */
  learn(addresses: readonly RelayAddress[]): Promise<void>
  /** As far as they are known. */
  all(): readonly string[]
}

/** @param ask stands in for the system's resolver in tests */
export function createRelayNumbers(
  ask: (host: string) => Promise<readonly string[]> = lookupAll,
): RelayNumbers {
  const byHost = new Map<string, readonly string[]>()
  let isKnown = false
  return {
    get isKnown() {
      return isKnown
    },
    async learn(addresses) {
      const hosts = new Set(addresses.map(({ host }) => host))
      await Promise.allSettled([...hosts].map(async (host) => byHost.set(host, await ask(host))))
      isKnown = true
    },
    all: () => [...byHost.values()].flat(),
  }
}

async function lookupAll(host: string): Promise<readonly string[]> {
  const answers = await lookup(host, { all: true })
  return answers.map(({ address }) => address)
}
