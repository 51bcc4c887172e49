import { formatCidr } from '../../shared/policy/cidr.ts'
import type { Rules } from '../../shared/policy/rule.ts'

/** Asks for all addresses of a name; rejects where there are none. */
export type LookUp = (host: string) => Promise<readonly string[]>

/** What the agent has to reach. */
export interface Reach {
  readonly rules: Rules
  /** Hosts of relays and proxies, names or addresses. */
  readonly ways: readonly string[]
  /** Addresses of the name servers, as Node lists them. */
  readonly nameServers: readonly string[]
}

/** A drop-in for the unit, and the names that had no address when it was made. */
export interface IpAllow {
  readonly text: string
  readonly unknown: readonly string[]
}

/**
 * Limits the service to the addresses that it needs: its name servers, its relays and proxies, and what its rules name: their
 * ranges where they give some, else the addresses that the host has now. The kernel enforces it, so a fault in the agent's
 * own check of addresses leads nowhere else. What changes its address later needs a new drop-in.
 */
export async function ipAllowDropIn(reach: Reach, lookUp: LookUp): Promise<IpAllow> {
  const lines: string[] = []
  const unknown: string[] = []
  const add = async (what: string, host: string) => {
    const addresses = await lookUp(host).catch(() => [])
    if (addresses.length === 0) unknown.push(host)
    lines.push(`# ${what} ${host}`, ...addresses.map((address) => `IPAddressAllow=${address}`))
  }
  for (const server of reach.nameServers) lines.push('# name server', `IPAddressAllow=${addressOf(server)}`)
  for (const host of new Set(reach.ways)) await add('relay or proxy', host)
  for (const rule of reach.rules.values()) {
    if (rule.cidrs.length === 0) await add(`rule ${rule.resource}:`, rule.host.text)
    else {
      lines.push(`# rule ${rule.resource}: ranges`)
      lines.push(...rule.cidrs.map((cidr) => `IPAddressAllow=${formatCidr(cidr)}`))
    }
  }
  const head = [
    '# Made by "sallyport agent service install --ip-allow"; run that again when addresses or rules change.',
  ]
  return { text: [...head, '[Service]', 'IPAddressDeny=any', ...lines, ''].join('\n'), unknown }
}

/** `192.0.2.1`, `192.0.2.1:5353` and `[2001:db8::1]:53` without the port, `fe80::1%eth0` without the zone. */
function addressOf(server: string): string {
  const [, bracketed] = /^\[([^\]]+)\]/.exec(server) ?? []
  const bare = bracketed ?? (server.split(':').length === 2 ? (server.split(':')[0] ?? '') : server)
  return bare.split('%')[0] ?? ''
}
