import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readAgent } from '../../../agent/doctor/check-agent.ts'
import { readClock } from '../../../agent/doctor/check-clock.ts'
import { askNames, type DnsAnswer, readDns } from '../../../agent/doctor/check-dns.ts'
import { readProxy } from '../../../agent/doctor/check-proxy.ts'
import { readTarget } from '../../../agent/doctor/check-targets.ts'
import { readTcp } from '../../../agent/doctor/check-tcp.ts'
import type { Finding } from '../../../agent/doctor/finding.ts'
import { makeRule } from '../../../agent/rules/parse.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

const HERE: DnsAnswer = { addresses: ['192.0.2.1'], ms: 3 }

function none(code: string): DnsAnswer {
  return { addresses: [], code, ms: 3 }
}

/** Verdict, code and text of each finding. */
function shown(findings: readonly Finding[]): string {
  return findings.map(({ verdict, code, text }) => `${verdict} ${code ?? ''} ${text}`).join('\n')
}

describe('the name of a relay', () => {
  it('that has an address is good, with a warning where one kind of record is never answered', () => {
    assert.match(
      shown(readDns('r.example', { system: HERE, a: HERE, aaaa: none('ENODATA') }, undefined)),
      /^OK [^\n]*$/,
    )
    const half = readDns('r.example', { system: HERE, a: HERE, aaaa: none('ETIMEOUT') }, undefined)
    assert.match(shown(half), /^OK .*\nWARN RELAY_UNREACHABLE .*AAAA records/)
  })

  it('that has none fails with the reason of the name server', () => {
    for (const [code, word] of [
      ['ENOTFOUND', 'NXDOMAIN'],
      ['ESERVFAIL', 'SERVFAIL'],
      ['EREFUSED', 'REFUSED'],
      ['ETIMEOUT', 'no name server answers'],
      ['ENODATA', 'has no address'],
    ] as const) {
      const evidence = { system: none('ENOTFOUND'), a: none(code), aaaa: none(code) }
      const [finding] = readDns('r.example', evidence, undefined)
      assert.equal(finding?.verdict, 'FAIL')
      assert.match(finding?.text ?? '', new RegExp(word))
    }
  })

  it('that only the proxy resolves is good', () => {
    const evidence = { system: none('ENOTFOUND'), a: none('ENOTFOUND'), aaaa: none('ENOTFOUND') }
    assert.match(shown(readDns('r.example', evidence, 'http://proxy.example:3128')), /^OK .*proxy\.example/)
  })

  it('that stands in the hosts file, or took long, is told so', () => {
    const slow = { addresses: ['192.0.2.1'], ms: 5_100 }
    const findings = readDns(
      'r.example',
      { system: slow, a: none('ENOTFOUND'), aaaa: none('ENOTFOUND') },
      undefined,
    )
    assert.match(shown(findings), /^OK .*hosts file\?\nWARN RELAY_UNREACHABLE it took 5100 ms/)
  })

  it('that is never answered ends with the deadline, not with the answer', async () => {
    const stop = new AbortController()
    const never = () => new Promise<never>(() => undefined)
    const asked = askNames('r.example', {
      effects: new FakeEffects(),
      signal: stop.signal,
      names: { system: never, a: async () => ['192.0.2.1'], aaaa: never },
    })
    stop.abort()
    const { system, a, aaaa } = await asked
    assert.deepEqual([system.code, a.addresses, aaaa.code], ['ETIMEOUT', ['192.0.2.1'], 'ETIMEOUT'])
  })
})

describe('the addresses of a relay', () => {
  const good = { address: '192.0.2.1', ms: 9 }

  it('that all answer are good', () => {
    assert.equal(
      readTcp(443, [good])
        .map(({ verdict }) => verdict)
        .join(),
      'OK',
    )
  })

  it('of which those of IPv6 are swallowed warn of IPv6', () => {
    const findings = readTcp(443, [good, { address: '2001:db8::1', ms: 3_000, code: 'ETIMEDOUT' }])
    assert.match(
      shown(findings),
      /^OK .*\nWARN RELAY_UNREACHABLE IPv6 is announced and leads nowhere.*\[2001:db8::1\]:443/,
    )
  })

  it('of which some are dead warn of those', () => {
    const findings = readTcp(443, [good, { address: '192.0.2.2', ms: 1, code: 'ECONNREFUSED' }])
    assert.match(shown(findings), /WARN RELAY_UNREACHABLE some addresses are dead: 192\.0\.2\.2:443: refused/)
  })

  it('of which none answers fail with what must be opened', () => {
    const [finding] = readTcp(443, [{ address: '192.0.2.2', ms: 3_000, code: 'ETIMEDOUT' }])
    assert.equal(finding?.verdict, 'FAIL')
    assert.match(finding?.remedy ?? '', /open outgoing TCP to 192\.0\.2\.2:443.*--proxy/)
  })
})

describe('a proxy', () => {
  const routes = [{ kind: 'http', host: 'proxy.example', port: 3128 }] as const
  const address = { host: 'r.example', port: 443 }
  const asked = {
    kind: 'proxy-answer',
    status: 407,
    schemes: ['NTLM', 'Basic'],
    server: 'squid/6.1',
  } as const

  it('that lets through is good, and what it offered is told', () => {
    const steps = [asked, { ...asked, status: 200, schemes: [], used: 'NTLM' }]
    const text = shown(readProxy(address, { routes, steps }))
    assert.match(text, /^OK .*status 407, it offers NTLM, Basic; we answered with NTLM/)
  })

  it('that wants what it does not get fails with its schemes', () => {
    const failure = new TunnelError('PROXY_AUTH')
    const [finding] = readProxy(address, { routes, steps: [asked], failure })
    assert.equal(finding?.code, 'PROXY_AUTH')
    assert.match(finding?.text ?? '', /squid\/6\.1; status 407, it offers NTLM, Basic/)
    assert.match(finding?.remedy ?? '', /--proxy-credentials-file/)
  })

  it('that refuses names what to allow', () => {
    const failure = new TunnelError('PROXY_REFUSED')
    const [finding] = readProxy(address, { routes, steps: [], failure })
    assert.match(finding?.remedy ?? '', /allow CONNECT to r\.example:443/)
  })

  it('that is dead beside one that lives is a warning', () => {
    const failed = {
      kind: 'failed',
      route: 'http://a.example:1',
      code: 'PROXY_UNREACHABLE',
      message: 'gone',
    } as const
    assert.match(
      shown(readProxy(address, { routes, steps: [failed] })),
      /^WARN PROXY_UNREACHABLE .*http:\/\/a\.example:1: gone/,
    )
  })

  it('that nobody set is no trouble', () => {
    assert.match(
      shown(readProxy(address, { routes: [{ kind: 'direct' }], steps: [] })),
      /^OK {2}no proxy is set/,
    )
  })
})

describe('two clocks', () => {
  const ours = Date.UTC(2027, 0, 15, 12)
  const at = (ms: number) => readClock({ ours, date: new Date(ours + ms).toUTCString(), roundTripMs: 40 })

  it('that agree within the second of the header are good', () => {
    assert.equal(shown(at(-800)), 'OK  both clocks agree')
  })

  it('that differ are both named, more than a day apart as a failure', () => {
    assert.match(
      shown(at(-3_600_000)),
      /^WARN CLOCK .* here it is 2027-01-15T12:00:00Z, at the relay 2027-01-15T11:00:00Z/,
    )
    assert.match(shown(at(-400 * 86_400_000)), /^FAIL CLOCK the clocks are 400 days apart/)
    assert.match(shown(at(2 * 86_400_000)), /^FAIL CLOCK the clocks are 2 days apart/)
  })

  it('of which one is not told is a warning', () => {
    assert.match(shown(readClock({ ours, date: undefined, roundTripMs: 1 })), /^WARN CLOCK/)
  })
})

describe('targets and the agent itself', () => {
  const rule = makeRule('db', { protocol: 'tcp', host: 'db.corp.example', port: 5432 })
  const probe = { kind: 'postgres', note: '', ms: 4.2 } as const

  it('say who must act on a target', () => {
    const down = {
      ...probe,
      state: 'failing',
      code: 'CONNECTION_REFUSED',
      detail: '10.0.0.1:5432: ECONNREFUSED',
    } as const
    const finding = readTarget(rule, down)
    assert.equal(finding.code, 'CONNECTION_REFUSED')
    assert.match(finding.remedy ?? '', /port 5432/)
    assert.equal(readTarget(rule, { ...probe, state: 'ok', detail: 'fine' }).text, 'fine (4 ms)')
    assert.equal(readTarget(rule, { ...probe, state: 'warn', detail: 'old' }).verdict, 'WARN')
  })

  it('say why a running agent is not connected', () => {
    const lastError = { message: 'The identity was revoked.', next: 'ask' }
    assert.match(shown(readAgent({ connected: false, lastError })), /^WARN RELAY_UNREACHABLE .*revoked/)
    assert.match(
      shown(readAgent({ connected: true, relay: 'r:1', pingIntervalMs: 20_000 })),
      /^OK .*every 20 s/,
    )
  })
})
