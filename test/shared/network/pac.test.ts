import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Effects } from '../../../shared/effects.ts'
import { parsePacAnswer } from '../../../shared/network/pac-answer.ts'
import { runPac } from '../../../shared/network/pac-script.ts'
import { formatRoute } from '../../../shared/network/route.ts'

const NAMES: Readonly<Record<string, string>> = { 'intern.corp': '10.1.2.3', 'proxy.corp': '10.9.9.9' }
/** @param after stands in for the clock that ends a run */
function answer(
  script: string,
  asked: string[] = [],
  after: Effects['after'] = () => () => undefined,
): Promise<string> {
  return runPac(
    { script, url: 'https://relay.example.com/', host: 'relay.example.com' },
    {
      resolve: async (name) => {
        asked.push(name)
        return NAMES[name] ?? null
      },
      address: '10.20.30.40',
      effects: { after },
      signal: AbortSignal.timeout(20_000),
    },
  )
}

/** A clock on which the time of a run is over at the next turn of the event loop. */
const soon: Effects['after'] = (_ms, callback) => {
  const immediate = setImmediate(callback)
  return () => clearImmediate(immediate)
}

/** What an expression gives inside FindProxyForURL. */
const value = (expression: string, asked?: string[]) =>
  answer(`function FindProxyForURL(url, host) { return String(${expression}) }`, asked)

describe('a PAC file', () => {
  it('sees the functions that browsers have', async () => {
    const table = [
      ['url + " " + host', 'https://relay.example.com/ relay.example.com'],
      ['isPlainHostName("www") + "," + isPlainHostName("www.x")', 'true,false'],
      ['dnsDomainIs("a.corp", ".corp") + "," + dnsDomainIs("a.corp", ".com")', 'true,false'],
      ['localHostOrDomainIs("www", "www.corp") + "," + localHostOrDomainIs("w", "www.corp")', 'true,false'],
      ['dnsDomainLevels("a.b.c")', '2'],
      ['shExpMatch("a.corp", "*.corp") + "," + shExpMatch("axcorp", "*.corp")', 'true,false'],
      ['shExpMatch("a.corp", "(*.corp|*.lan)")', 'true'],
      ['isInNet("10.1.2.3", "10.1.0.0", "255.255.0.0")', 'true'],
      ['isInNet("10.2.2.3", "10.1.0.0", "255.255.0.0")', 'false'],
      ['isInNet("200.1.2.3", "200.1.0.0", "255.255.0.0")', 'true'],
      ['convert_addr("1.2.3.4")', '16909060'],
      ['myIpAddress()', '10.20.30.40'],
      ['weekdayRange("SUN", "SAT") + "," + weekdayRange("MON", "SUN", "GMT")', 'true,true'],
      ['dateRange(1, 31) + "," + dateRange("JAN", "DEC") + "," + dateRange(2000, 2999)', 'true,true,true'],
      ['dateRange(1, "JAN", 31, "DEC") + "," + dateRange(1990, 1995)', 'true,false'],
      ['dateRange(1, "JAN", 2000, 31, "DEC", 2999, "GMT")', 'true'],
      [
        'timeRange(0, 24) + "," + timeRange(0, 0, 24, 0) + "," + timeRange(0, 0, 0, 23, 59, 60)',
        'true,true,true',
      ],
      ['String(alert("x"))', 'undefined'],
    ] as const
    const values = await value(`[${table.map(([expression]) => expression).join(', ')}].join("\\n")`)
    assert.deepEqual(
      values.split('\n').map((text, i) => [table[i]?.[0], text]),
      table,
    )
  })

  it('has names resolved outside, each once', async () => {
    const asked: string[] = []
    const text = await value(
      'dnsResolve("Intern.corp") + isResolvable("nowhere.corp") + isInNet("proxy.corp", "10.9.0.0", "255.255.0.0") + dnsResolve("intern.corp")',
      asked,
    )
    assert.equal(text, '10.1.2.3falsetrue10.1.2.3')
    assert.deepEqual(asked, ['intern.corp', 'nowhere.corp', 'proxy.corp'])
  })

  it('cannot hide that it waits for a name', async () => {
    const script = `function FindProxyForURL() {
      try { return "PROXY " + dnsResolve("proxy.corp") + ":1" } catch (e) { return "DIRECT" }
    }`
    assert.equal(await answer(script), 'PROXY 10.9.9.9:1')
  })

  it('reaches nothing outside', async () => {
    const names = [
      'process',
      'require',
      'fetch',
      'Buffer',
      'WebAssembly',
      'setTimeout',
      'XMLHttpRequest',
      'std',
      'os',
    ]
    const kinds = await value(`[${names.map((name) => `typeof ${name}`).join(', ')}].join()`)
    assert.deepEqual(new Set(kinds.split(',')), new Set(['undefined']))
    await assert.rejects(
      answer('import("node:fs"); function FindProxyForURL() { return import("node:fs") }'),
      {
        code: 'PAC',
      },
    )
  })

  it('leaves nothing behind for the next run', async () => {
    assert.equal(await value('(globalThis.x = (globalThis.x ?? 0) + 1)'), '1')
    assert.equal(await value('(globalThis.x = (globalThis.x ?? 0) + 1)'), '1')
  })

  it('is ended where it takes too long', async () => {
    await assert.rejects(answer('for (;;);', [], soon), { code: 'PAC', message: /ran for more than/ })
    await assert.rejects(
      answer('function FindProxyForURL() { return /(a+)+$/.exec("a".repeat(40) + "b") }', [], soon),
      {
        code: 'PAC',
      },
    )
  })

  it('fails where it takes too much, and the next one is none the worse for it', async () => {
    const greedy = [
      'function FindProxyForURL() { const all = []; for (;;) all.push("x".repeat(100000) + all.length) }',
      'function FindProxyForURL() { const all = []; for (;;) all.push(new Uint8Array(1e6)) }',
      'function FindProxyForURL() { return FindProxyForURL() + 1 }',
      'function FindProxyForURL() { return "x".repeat(1e9) }',
    ]
    for (const script of greedy) await assert.rejects(answer(script), { code: 'PAC' }, script)
    assert.equal(await value('1'), '1')
  })

  it('is refused where it is too long, not right or asks for too much', async () => {
    await assert.rejects(answer(`//${'x'.repeat(1_048_576)}`), { code: 'PAC', message: /too long/ })
    await assert.rejects(answer('function FindProxyForURL( {'), { code: 'PAC', message: /SyntaxError/ })
    await assert.rejects(answer('const x = 1'), { code: 'PAC', message: /no FindProxyForURL/ })
    await assert.rejects(answer('function FindProxyForURL() { return noSuch() }'), {
      code: 'PAC',
      message: /ReferenceError: .*noSuch/,
    })
    await assert.rejects(answer('function FindProxyForURL() { return 7 }'), {
      code: 'PAC',
      message: /no text/,
    })
    await assert.rejects(answer('function FindProxyForURL() { throw "\\u001b[2J" }'), (error: Error) => {
      assert.ok(!error.message.includes('\u001b'))
      return true
    })
    await assert.rejects(value('Array.from({ length: 99 }, (_, i) => dnsResolve("n" + i)).join()'), {
      code: 'PAC',
      message: /too many names/,
    })
    assert.equal(await answer('function FindProxyForURL() { return null }'), '')
  })
})

describe('what a PAC file answers', () => {
  const read = (text: string) => parsePacAnswer(text).map(formatRoute)

  it('is a list of ways in order', () => {
    assert.deepEqual(
      read('PROXY a.corp:8080; HTTPS b.corp:443;SOCKS5 c.corp:1080 ; socks d.corp:1; DIRECT'),
      ['http://a.corp:8080', 'https://b.corp:443', 'socks5://c.corp:1080', 'socks5://d.corp:1', 'direct'],
    )
    assert.deepEqual(read(''), ['direct'])
    assert.deepEqual(read('PROXY [2001:db8::1]:3128; PROXY a.corp'), [
      'http://[2001:db8::1]:3128',
      'http://a.corp:80',
    ])
  })

  it('leaves out what is not supported, doubled or beyond the limit', () => {
    assert.deepEqual(read('SOCKS4 a:1; QUIC b:2; PROXY u:p@c:3; PROXY d:4; PROXY d:4'), ['http://d:4'])
    assert.equal(read(Array.from({ length: 50 }, (_, i) => `PROXY p${i}:1`).join(';')).length, 8)
    assert.throws(() => read('SOCKS4 a:1; nonsense'), { code: 'PAC' })
  })
})
