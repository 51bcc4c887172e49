import { formatCidr } from '../../shared/policy/cidr.ts'
import type { Rule } from '../../shared/policy/rule.ts'

/** What a new rules file begins with. */
export const RULES_HEADER = `# What the tunnel may reach from this site. The agent denies whatever is not named here; nothing the relay
# sends can widen it. A running agent follows this file within a second and ends streams that it no longer allows.
#
# [resources.orders-db]            # the name that connectors ask for: SITE/orders-db
# protocol = "tcp"                 # or "http"
# host = "db.corp.example"         # one name or address
# port = 5432
# cidr = "10.20.0.0/16"            # optional: what the host may resolve to; a list is possible
# expect = "private"               # optional: refuse global addresses ("public": refuse private ones)
# allow_loopback = true            # needed for this host itself; likewise allow_link_local, allow_metadata
# methods = ["GET"]                # http only, optional
# path_prefixes = ["/api/"]        # http only, optional
# host_header = "intranet.example" # http only, optional
# max_streams = 20                 # optional
# detail = true                    # optional: tell connectors the cause of a failed dial
# resume = false                   # optional: end streams with their path instead of waiting for another
# probe = "postgres"               # optional: how its health is asked, where the port does not say; "none": not at all
version = 1
`

/** The table of one rule as lines of TOML, without what is at its default. */
export function formatRule(rule: Rule): string[] {
  const cidrs = rule.cidrs.map(formatCidr)
  const pairs: [string, unknown][] = [
    ['protocol', rule.protocol],
    ['host', rule.host.text],
    ['port', rule.port],
    ['cidr', cidrs.length > 1 ? cidrs : cidrs[0]],
    ['expect', rule.expect],
    ['allow_loopback', rule.allowLoopback || undefined],
    ['allow_link_local', rule.allowLinkLocal || undefined],
    ['allow_metadata', rule.allowMetadata || undefined],
    ['methods', filled(rule.http?.methods)],
    ['path_prefixes', filled(rule.http?.pathPrefixes)],
    ['host_header', rule.http?.hostHeader],
    ['max_streams', rule.maxStreams],
    ['detail', rule.detail || undefined],
    ['resume', rule.resume ? undefined : false],
    ['probe', rule.probe],
  ]
  const lines = pairs.flatMap(([key, value]) => (value === undefined ? [] : [`${key} = ${toToml(value)}`]))
  return [`[resources.${rule.resource}]`, ...lines]
}

/** All values here are printable ASCII, numbers, booleans or lists of them, where JSON and TOML agree. */
function toToml(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(toToml).join(', ')}]` : JSON.stringify(value)
}

function filled(list: readonly string[] | undefined): readonly string[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list
}
