import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { Command } from 'commander'
import { type ChoiceSources, mergeChoice, planNetwork } from '../../../shared/network/choice.ts'
import { describePlan } from '../../../shared/network/find-network.ts'
import { addNetworkFlags, networkFlags } from '../../../shared/network/flags.ts'
import { parseNoProxy } from '../../../shared/network/no-proxy.ts'
import { parseProxyCredentials, parseProxyUrl } from '../../../shared/network/route.ts'
import { parseRegistry, parseWinHttp, readWindowsProxy } from '../../../shared/network/windows-proxy.ts'

const plan = (sources: Partial<ChoiceSources>) =>
  planNetwork({ flags: {}, environment: {}, settings: {}, system: {}, ...sources })

describe('where the way out is taken from', () => {
  it('is flags, then the environment, then the settings, then the system', () => {
    const all = {
      flags: { proxy: 'http://flag:1' },
      environment: { HTTPS_PROXY: 'http://env:2', ALL_PROXY: 'socks5://all:3' },
      settings: { pac: 'http://settings/pac' },
      system: { proxy: 'system:4' },
    }
    assert.equal(describePlan(plan(all)), 'http://flag:1 (flag)')
    assert.equal(describePlan(plan({ ...all, flags: {} })), 'http://env:2 (environment)')
    assert.equal(
      describePlan(plan({ ...all, flags: {}, environment: { all_proxy: 'socks5h://all' } })),
      'socks5://all:1080 (environment)',
    )
    assert.equal(
      describePlan(plan({ ...all, flags: {}, environment: {} })),
      'PAC http://settings/pac (settings)',
    )
    assert.equal(describePlan(plan({ system: all.system })), 'http://system:4 (system)')
    assert.equal(describePlan(plan({})), 'direct (default)')
    assert.equal(describePlan(plan({ ...all, flags: { proxy: 'direct' } })), 'direct (flag)')
  })

  it('takes the lower case of a variable first, and an empty one as none', () => {
    const environment = { https_proxy: 'lower:1', HTTPS_PROXY: 'upper:2' }
    assert.equal(describePlan(plan({ environment })), 'http://lower:1 (environment)')
    assert.equal(
      describePlan(plan({ environment: { https_proxy: '', HTTPS_PROXY: 'upper:2' } })),
      'http://upper:2 (environment)',
    )
  })

  it('leaves this machine itself alone where the proxy is meant for all programs', () => {
    const isExempt = (sources: Partial<ChoiceSources>, host: string) => {
      const { way } = plan(sources)
      return way.kind === 'proxy' && way.isExempt({ host, port: 443 })
    }
    const environment = { HTTPS_PROXY: 'p:1', NO_PROXY: '.corp' }
    for (const host of ['localhost', 'a.localhost', '127.0.0.1', '::1', 'relay.corp']) {
      assert.equal(isExempt({ environment }, host), true, host)
    }
    assert.equal(isExempt({ environment }, 'relay.example'), false)
    assert.equal(isExempt({ flags: { proxy: 'p:1' } }, '127.0.0.1'), false)
    // A list that stands elsewhere counts all the same.
    assert.equal(
      isExempt({ flags: { proxy: 'p:1' }, environment: { NO_PROXY: '127.0.0.1' } }, '127.0.0.1'),
      true,
    )
  })

  it('refuses passwords in flags and never tells what stood in a URL', () => {
    for (const flags of [{ proxy: 'http://eve:canary@p:1' }, { pac: 'http://eve:canary@p/x.pac' }]) {
      assert.throws(() => networkFlags(flags), { code: 'USAGE', next: /--proxy-credentials-file/ })
    }
    for (const proxy of [
      'http://eve:canary@p:99999',
      'ftp://eve:canary@p',
      'http://eve:canary%zz@p:1',
      'canary canary',
    ]) {
      assert.throws(
        () => plan({ environment: { HTTPS_PROXY: proxy } }),
        (error: Error) => {
          assert.doesNotMatch(inspect(error, { depth: 9 }), /canary/)
          assert.match(error.message, /environment/)
          return true
        },
      )
    }
    const right = plan({ environment: { HTTPS_PROXY: 'http://eve:canary@p:1' } })
    assert.doesNotMatch(inspect(right, { depth: 9 }) + JSON.stringify(right) + describePlan(right), /canary/)
    const pac = 'http://eve:canary@x/p?key=canary'
    assert.equal(describePlan(plan({ settings: { pac } })), 'PAC http://x/p?... (settings)')
  })
})

describe('what is set later', () => {
  it('takes the place of the same, and a proxy that of a PAC file', () => {
    const kept = { pac: 'x.pac', systemCa: true }
    assert.deepEqual(mergeChoice(kept, { caFile: '/c' }), { pac: 'x.pac', systemCa: true, caFile: '/c' })
    assert.deepEqual(mergeChoice(kept, { proxy: 'p:1' }), { proxy: 'p:1', systemCa: true })
    assert.deepEqual(mergeChoice({ proxy: 'p:1' }, { pac: 'x' }), { pac: 'x' })
    assert.throws(() => networkFlags({ proxy: 'p:1', pac: 'x' }), { code: 'USAGE' })
  })
})

describe('the URL of a proxy', () => {
  it('has a scheme, a host and a port, or what stands for them', () => {
    assert.deepEqual(parseProxyUrl('http://Proxy.Corp:3128/').route, {
      kind: 'http',
      host: 'proxy.corp',
      port: 3128,
    })
    assert.deepEqual(parseProxyUrl('proxy').route, { kind: 'http', host: 'proxy', port: 80 })
    assert.deepEqual(parseProxyUrl('https://[2001:db8::1]').route, {
      kind: 'https',
      host: '2001:db8::1',
      port: 443,
    })
    const { credentials } = parseProxyUrl('socks5h://CORP%5Ceve:p%40ss%3A@proxy:1')
    assert.equal(credentials?.user, 'CORP\\eve')
    assert.equal(credentials?.password.reveal(), 'p@ss:')
  })

  it('is refused where it is something else', () => {
    for (const wrong of [
      '',
      'http://',
      'http://a b',
      'http://a:0',
      'http://a:1/path',
      'http://a:1?x',
      'http://1.2.3',
      `http://${'a'.repeat(2_000)}`,
    ]) {
      assert.throws(() => parseProxyUrl(wrong), { code: 'CONFIG' }, wrong)
    }
  })

  it('goes with credentials of one line without control characters', () => {
    const { user, password } = parseProxyCredentials('eve:a:b\n')
    assert.equal(user, 'eve')
    assert.equal(password.reveal(), 'a:b')
    for (const wrong of ['', 'eve', ':x', 'a:b\nc:d', 'a:b\r\nX-Header: 1', `a:${'b'.repeat(2_000)}`]) {
      assert.throws(() => parseProxyCredentials(wrong), { code: 'CONFIG' })
    }
  })
})

describe('the list of hosts without a proxy', () => {
  it('knows names, what is below them, addresses, ranges, ports and short names', () => {
    const matches = (list: string, host: string, port = 443) => parseNoProxy(list)({ host, port })
    assert.equal(matches('corp.example', 'corp.example'), true)
    assert.equal(matches('corp.example', 'a.corp.example'), true)
    assert.equal(matches('.corp.example, x', 'a.corp.example'), true)
    assert.equal(matches('*.Corp.Example;x', 'a.corp.example'), true)
    assert.equal(matches('corp.example', 'notcorp.example'), false)
    assert.equal(matches('corp.example:8443', 'corp.example', 8443), true)
    assert.equal(matches('corp.example:8443', 'corp.example', 443), false)
    assert.equal(matches('10.0.0.0/8', '10.1.2.3'), true)
    assert.equal(matches('10.0.0.0/8', '11.1.2.3'), false)
    assert.equal(matches('2001:db8::/32 [::1]', '2001:db8::7'), true)
    assert.equal(matches('1.2.3.4:443', '1.2.3.4'), true)
    assert.equal(matches('4', '1.2.3.4'), false)
    assert.equal(matches('<local>', 'relay'), true)
    assert.equal(matches('<local>', 'relay.corp'), false)
    assert.equal(matches('*', 'anything'), true)
    assert.equal(matches('', 'anything'), false)
    assert.equal(matches('%%,.,', 'anything'), false)
  })
})

describe('the flags', () => {
  const parse = (...args: string[]) => {
    const command = addNetworkFlags(new Command().exitOverride(), { inspector: true })
    command.parse(args, { from: 'user' })
    return networkFlags({ json: true, ...command.opts() })
  }

  it('are read, with --no-proxy beside --proxy, and paths made absolute', () => {
    assert.deepEqual(parse('--proxy', 'p:1', '--no-proxy', 'a,b', '--system-ca'), {
      proxy: 'p:1',
      noProxy: 'a,b',
      systemCa: true,
    })
    assert.deepEqual(parse('--pac', 'http://x/y'), { pac: 'http://x/y' })
    assert.deepEqual(parse(), {})
    assert.match(parse('--ca-file', 'x.pem').caFile ?? '', /^\/.*\/x\.pem$/)
    assert.match(parse('--pac', 'x.pac').pac ?? '', /^\/.*\/x\.pac$/)
    assert.throws(() => parse('--accept-inspector', 'nonsense'), {
      code: 'USAGE',
      message: /accept-inspector/,
    })
  })
})

describe('the settings of Windows', () => {
  const registry = (lines: string) =>
    `\r\nHKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\r\n${lines}\r\n\r\n`
  const on = '    ProxyEnable    REG_DWORD    0x1\r\n'

  it('are read from what reg prints', () => {
    assert.deepEqual(
      parseRegistry(
        registry(
          `${on}    ProxyServer    REG_SZ    proxy.corp:8080\r\n    ProxyOverride    REG_SZ    *.corp;<local>`,
        ),
      ),
      {
        proxy: 'proxy.corp:8080',
        noProxy: '*.corp;<local>',
      },
    )
    assert.deepEqual(
      parseRegistry(registry(`${on}    ProxyServer    REG_SZ    http=a:1;https=b:2;socks=c:3`)),
      { proxy: 'b:2' },
    )
    assert.deepEqual(parseRegistry(registry(`${on}    ProxyServer    REG_SZ    socks=c:3`)), {
      proxy: 'socks5://c:3',
    })
    assert.deepEqual(
      parseRegistry(registry('    ProxyEnable    REG_DWORD    0x0\r\n    ProxyServer    REG_SZ    a:1')),
      {},
    )
    assert.deepEqual(
      parseRegistry(
        registry(
          `${on}    AutoConfigURL    REG_SZ    http://x/proxy.pac\r\n    ProxyServer    REG_SZ    a:1`,
        ),
      ),
      {
        pac: 'http://x/proxy.pac',
      },
    )
    assert.deepEqual(parseRegistry('ERROR: The system was unable to find the specified registry key'), {})
  })

  it('are read from what netsh prints, in any language', () => {
    assert.deepEqual(
      parseWinHttp('\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Direct access (no proxy server).\r\n'),
      {},
    )
    assert.deepEqual(
      parseWinHttp(
        '\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  proxy.corp:8080\r\n    Bypass List     :  *.corp;<local>\r\n',
      ),
      { proxy: 'proxy.corp:8080', noProxy: '*.corp;<local>' },
    )
    assert.deepEqual(
      parseWinHttp(
        '\r\nAktuelle WinHTTP-Proxyeinstellungen:\r\n\r\n    Proxyserver:  http=a:1;https=b:2\r\n    Umgehungsliste:  (Keine)\r\n',
      ),
      { proxy: 'b:2' },
    )
  })

  it('are those of the user, else those of services', async () => {
    const asked: string[] = []
    const choice = await readWindowsProxy('C:\\Windows', async (file, args) => {
      asked.push(`${file} ${args[0]}`)
      return args[0] === 'query' ? undefined : '    Proxy Server(s) :  p:1\r\n'
    })
    assert.deepEqual(choice, { proxy: 'p:1' })
    assert.equal(asked.length, 2)
  })
})
