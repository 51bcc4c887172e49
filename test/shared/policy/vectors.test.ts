import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { canonicalAddress, classOf } from '../../../shared/policy/address.ts'
import { formatCidr, parseCidr } from '../../../shared/policy/cidr.ts'
import { type AddressVerdict, checkAddress, decide } from '../../../shared/policy/decide.ts'
import { parseHost } from '../../../shared/policy/host.ts'
import { requestDenial } from '../../../shared/policy/request.ts'
import type { HttpRule, Protocol, Rule } from '../../../shared/policy/rule.ts'
import { parseHostPort } from '../../../shared/wire/host-port.ts'
import { rule } from './rule-kit.ts'

interface Vector<Expected> {
  input: string
  expected: Expected | null
}
interface Vectors {
  hosts: Vector<{ kind: string; text: string }>[]
  hostPorts: Vector<{ host: string; port: number }>[]
  cidrs: Vector<string>[]
  addresses: Vector<{ text: string; dial: string; class: string }>[]
  checks: {
    name: string
    rule: Partial<Omit<Rule, 'cidrs'>> & { cidrs?: string[] }
    address: string
    own: string[]
    relay: string[]
    expected: AddressVerdict
  }[]
  requests: { http: HttpRule | null; method: string; target: string; expected: string | null }[]
  decisions: {
    rules: Record<string, Protocol>
    cases: { resource: string; protocol: Protocol; expected: string }[]
  }
}

const VECTORS = JSON.parse(
  readFileSync(new URL('../../vectors/policy.json', import.meta.url), 'utf8'),
) as Vectors

test('hosts are read as the vectors say', () => {
  for (const { input, expected } of VECTORS.hosts) {
    const host = parseHost(input)
    assert.deepEqual(host.ok ? host.value : null, expected, JSON.stringify(input))
  }
})

test('HOST:PORT is read as the vectors say', () => {
  for (const { input, expected } of VECTORS.hostPorts) {
    const target = parseHostPort(input)
    const got = target.ok ? { host: target.value.host.text, port: target.value.port } : null
    assert.deepEqual(got, expected, JSON.stringify(input))
  }
})

test('CIDR ranges are read as the vectors say', () => {
  for (const { input, expected } of VECTORS.cidrs) {
    const cidr = parseCidr(input)
    assert.equal(cidr.ok ? formatCidr(cidr.value) : null, expected, JSON.stringify(input))
  }
})

test('addresses are unwrapped and classed as the vectors say', () => {
  for (const { input, expected } of VECTORS.addresses) {
    const canonical = canonicalAddress(input)
    const got = canonical && { text: canonical.text, dial: canonical.dial, class: classOf(canonical.ip) }
    assert.deepEqual(got ?? null, expected, JSON.stringify(input))
  }
})

for (const { name, rule: part, address, own, relay, expected } of VECTORS.checks) {
  test(`checkAddress: ${name}`, () => {
    const verdict = checkAddress(rule(part), address, { own: new Set(own), relay: new Set(relay) })
    assert.deepEqual(verdict, expected)
  })
}

test('HTTP requests pass or not as the vectors say', () => {
  for (const { http, method, target, expected } of VECTORS.requests) {
    const denial = requestDenial(http ?? undefined, { method, target })
    assert.equal(denial ?? null, expected, `${method} ${JSON.stringify(target)} ${JSON.stringify(http)}`)
  }
})

test('a resource is found by name and protocol as the vectors say', () => {
  const { rules: protocols, cases } = VECTORS.decisions
  const rules = new Map(
    Object.entries(protocols).map(([resource, protocol]) => [resource, rule({ resource, protocol })]),
  )
  for (const { resource, protocol, expected } of cases) {
    const decision = decide(rules, { resource, protocol })
    assert.equal(decision.allowed ? decision.rule.resource : decision.reason, expected, resource)
  }
})
