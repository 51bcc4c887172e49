import type { ProbeKind, Rule } from '../../shared/policy/rule.ts'
import type { Hello } from './hello.ts'
import { httpHello } from './http.ts'
import { ldapHello } from './ldap.ts'
import { mysqlHello } from './mysql.ts'
import { postgresHello } from './postgres.ts'
import { redisHello } from './redis.ts'
import { smtpHello } from './smtp.ts'

/** What stands behind usual ports of protocol tcp. Anything else is only connected to. */
const BY_PORT: ReadonlyMap<number, ProbeKind> = new Map([
  [25, 'smtp'],
  [389, 'ldap'],
  [443, 'tls'],
  [465, 'tls'],
  [587, 'smtp'],
  [636, 'tls'],
  [993, 'tls'],
  [995, 'tls'],
  [3268, 'ldap'],
  [3269, 'tls'],
  [3306, 'mysql'],
  [5432, 'postgres'],
  [6379, 'redis'],
  [8443, 'tls'],
])

const HELLOS: Partial<Record<ProbeKind, Hello>> = {
  postgres: postgresHello,
  mysql: mysqlHello,
  redis: redisHello,
  ldap: ldapHello,
  smtp: smtpHello,
}

/** How the target of a rule is asked: as the rule says, else by its protocol and port. */
export function probeKind(rule: Pick<Rule, 'probe' | 'protocol' | 'port'>): ProbeKind {
  if (rule.probe !== undefined) return rule.probe
  return rule.protocol === 'http' ? 'http' : (BY_PORT.get(rule.port) ?? 'tcp')
}

/** The hello of a rule; undefined where connecting, or TLS, is all there is to it. */
export function helloOf(rule: Rule): Hello | undefined {
  const kind = probeKind(rule)
  return kind === 'http' ? httpHello(rule) : HELLOS[kind]
}
