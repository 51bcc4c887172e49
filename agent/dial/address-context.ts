import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { canonicalAddress } from '../../shared/policy/address.ts'
import type { AddressContext } from '../../shared/policy/decide.ts'

/**
 * What a target must not be without the rule's word. Cheap enough to ask anew for each dial: interfaces come and go.
 *
 * @param relayAddresses numbers of the relays that the agent is connected to; what is no number is left out
 */
export function addressContext(
  relayAddresses: Iterable<string>,
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): AddressContext {
  const own = Object.values(interfaces).flatMap((list) => (list ?? []).map(({ address }) => address))
  return { own: canonicalSet(own), relay: canonicalSet(relayAddresses) }
}

function canonicalSet(addresses: Iterable<string>): ReadonlySet<string> {
  return new Set([...addresses].flatMap((address) => canonicalAddress(address)?.text ?? []))
}
