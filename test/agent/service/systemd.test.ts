import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { parseRules } from '../../../agent/rules/parse.ts'
import { ipAllowDropIn } from '../../../agent/service/ip-allow.ts'
import { SYSTEMD } from '../../../agent/service/names.ts'
import { actAsOwner } from '../../../agent/service/owner.ts'
import { checkProgram } from '../../../agent/service/program.ts'
import { readReach } from '../../../agent/service/reach.ts'
import {
  IP_ALLOW_PATH,
  type Machine,
  prepareUnit,
  removeUnit,
  startUnit,
  unitProperties,
  writeIpAllow,
} from '../../../agent/service/systemd.ts'
import { toolFailure } from '../../../agent/service/tool.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'

async function machine(t: TestContext, changes: Partial<Machine> = {}) {
  const root = await temporaryDirectory(t)
  await mkdir(join(root, 'run/systemd/system'), { recursive: true })
  const calls: string[] = []
  const tool: Machine['tool'] = async (file, args) => {
    calls.push([file, ...args].join(' ').replaceAll(root, ''))
    return 'LoadState=loaded\nStatusText=a=b\n'
  }
  const program = ['/opt/sallyport/sallyport']
  const made: Machine = { root, isRoot: true, tool, program, signal: AbortSignal.timeout(10_000), ...changes }
  const put = async (path: string) => {
    await mkdir(join(root, dirname(path)), { recursive: true })
    await writeFile(join(root, path), '')
  }
  /** Every file below the root. */
  const files = async () =>
    (await readdir(root, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
      .sort()
  return { root, calls, made, put, files }
}

describe('the service on a machine with systemd', () => {
  it('is made of three files, a user and a directory, and does not start before there is an identity', async (t) => {
    const { root, calls, made } = await machine(t)
    const written = await prepareUnit(made)
    assert.deepEqual(written, [
      '/etc/systemd/system/sallyport-agent.service',
      '/etc/sysusers.d/sallyport-agent.conf',
      '/etc/tmpfiles.d/sallyport-agent.conf',
    ])
    assert.match(
      await readFile(join(root, written[0] ?? ''), 'utf8'),
      /ExecStart=\/opt\/sallyport\/sallyport agent run/,
    )
    assert.deepEqual(calls, [
      'systemd-sysusers /etc/sysusers.d/sallyport-agent.conf',
      'systemd-tmpfiles --create /etc/tmpfiles.d/sallyport-agent.conf',
      'install -d -m 0700 -o sallyport-agent -g sallyport-agent /var/lib/sallyport/agent',
      'systemctl daemon-reload',
    ])
    calls.length = 0
    await startUnit(made)
    assert.deepEqual(calls, [
      'systemctl enable sallyport-agent.service',
      'systemctl restart sallyport-agent.service',
    ])
  })

  it('leaves what a package brought alone', async (t) => {
    const { made, put, files } = await machine(t)
    await put('/usr/lib/systemd/system/sallyport-agent.service')
    assert.deepEqual(await prepareUnit(made), [])
    const { removed, left } = await removeUnit(made, false)
    assert.deepEqual(removed, [])
    assert.ok(left.includes('/usr/lib/systemd/system/sallyport-agent.service'))
    assert.deepEqual(await files(), ['/usr/lib/systemd/system/sallyport-agent.service'])
  })

  it('goes with everything that was made, and says what stays', async (t) => {
    const { made, put, files, calls } = await machine(t)
    await prepareUnit(made)
    await writeIpAllow(made, 'text')
    await put(`${SYSTEMD.data}/identity.json`)
    await put('/etc/systemd/system/sallyport-agent.service.d/mine.conf')
    const { removed, left } = await removeUnit(made, false)
    assert.equal(removed.length, 4)
    assert.ok(removed.includes(IP_ALLOW_PATH))
    assert.deepEqual(await files(), [
      '/etc/systemd/system/sallyport-agent.service.d/mine.conf',
      `${SYSTEMD.data}/identity.json`,
    ])
    assert.deepEqual(left, [
      SYSTEMD.data,
      '/etc/systemd/system/sallyport-agent.service.d',
      'the user sallyport-agent',
    ])
    assert.ok(calls.includes('systemctl disable --now sallyport-agent.service'))
  })

  it('leaves nothing with --purge', async (t) => {
    const { root, made, put, files } = await machine(t)
    await prepareUnit(made)
    await put(`${SYSTEMD.data}/identity.json`)
    await put(SYSTEMD.joinFile)
    const { left } = await removeUnit(made, true)
    assert.deepEqual(left, [])
    assert.deepEqual(await files(), [])
    assert.equal(existsSync(join(root, '/var/lib/sallyport')), false)
  })

  it('is not for others than root, nor for a machine without systemd', async (t) => {
    const { made } = await machine(t)
    await assert.rejects(prepareUnit({ ...made, isRoot: false }), { code: 'PERMISSIONS' })
    await assert.rejects(prepareUnit({ ...made, root: join(made.root, 'none') }), { code: 'SERVICE' })
  })

  it('reads properties whose values have the sign in them', async (t) => {
    const { made } = await machine(t)
    const found = await unitProperties(made, ['LoadState', 'StatusText'])
    assert.deepEqual([found.get('LoadState'), found.get('StatusText')], ['loaded', 'a=b'])
  })

  it('says of a tool that failed what the tool said first', () => {
    assert.equal(
      toolFailure('systemctl restart x', '\nUnit x is masked.\nmore').detail,
      'systemctl restart x: Unit x is masked.',
    )
  })
})

describe('the drop-in with addresses', () => {
  const rules = parseRules(
    `version = 1
[resources.db]
protocol = "tcp"
host = "db.corp.example"
port = 5432
[resources.web]
protocol = "tcp"
host = "web.corp.example"
port = 80
cidr = ["10.1.0.0/16"]
`,
    'rules.toml',
  )

  it('lets name servers, relays and targets through, and nothing else', async () => {
    const known: Record<string, string[]> = { 'relay.example.com': ['203.0.113.7', '2001:db8::7'] }
    const lookUp = async (host: string) => known[host] ?? Promise.reject(new Error('ENOTFOUND'))
    const nameServers = ['192.0.2.53', '[2001:db8::53]:5353', 'fe80::1%eth0', '192.0.2.54:5353']
    const { text, unknown } = await ipAllowDropIn({ rules, ways: ['relay.example.com'], nameServers }, lookUp)
    assert.deepEqual(unknown, ['db.corp.example'])
    assert.ok(text.includes('[Service]\nIPAddressDeny=any\n'))
    const allowed = [...text.matchAll(/^IPAddressAllow=(.*)$/gm)].map(([, address]) => address)
    assert.deepEqual(allowed, [
      ...['192.0.2.53', '2001:db8::53', 'fe80::1', '192.0.2.54'],
      ...['203.0.113.7', '2001:db8::7', '10.1.0.0/16'],
    ])
  })
})

describe('what an agent has to reach', () => {
  async function reachBy(t: TestContext, network: object) {
    const data = await temporaryDirectory(t)
    const settings = {
      agentId: 'a'.repeat(26),
      site: 'berlin',
      relays: ['relay.example.com:443'],
      serverName: 'x',
      network,
    }
    await writeFile(join(data, 'settings.json'), JSON.stringify(settings), { mode: 0o600 })
    return (await readReach(data)).ways
  }

  it('is its relays and its proxy, read also by another user', async (t) => {
    assert.deepEqual(await reachBy(t, {}), ['relay.example.com'])
    const proxied = await reachBy(t, { proxy: 'http://bob:secret@proxy.corp.example:3128' })
    assert.deepEqual(proxied, ['relay.example.com', 'proxy.corp.example'])
  })

  it('is not known where a PAC file decides', async (t) => {
    await assert.rejects(reachBy(t, { pac: 'http://wpad/wpad.dat' }), { code: 'CONFIG' })
  })
})

describe('who may be the program of a service', () => {
  const fine = { mode: 0o100755, uid: 0 }
  const look = (special: Record<string, { mode: number; uid: number }>) => (path: string) =>
    special[path] ?? fine

  it('is what root alone can change and everybody can read', () => {
    checkProgram(['/opt/node', '/opt/s/cli.js'], look({}))
  })

  for (const [reason, file, special] of [
    ['a home', '/home/bob/node', {}],
    ["root's home", '/root/node', {}],
    ['a file of somebody else', '/opt/node', { '/opt/node': { mode: 0o100755, uid: 1000 } }],
    ['a file that a group may change', '/opt/node', { '/opt/node': { mode: 0o100775, uid: 0 } }],
    ['a file that others cannot read', '/opt/node', { '/opt/node': { mode: 0o100750, uid: 0 } }],
    ['a directory that others cannot enter', '/opt/node', { '/opt': { mode: 0o40700, uid: 0 } }],
  ] as const) {
    it(`is not ${reason}`, () => {
      assert.throws(() => checkProgram([file], look(special)), { code: 'CONFIG' })
    })
  }
})

describe('root at the data of a service', () => {
  it('becomes its owner, and stays root at its own', async (t) => {
    const directory = await temporaryDirectory(t)
    const became: number[] = []
    const identity = { uid: 0, become: (uid: number) => void became.push(uid) }
    await actAsOwner(directory, identity)
    await actAsOwner(join(directory, 'none'), identity)
    // As other users see it: a directory of theirs is not for them to take.
    await actAsOwner('/', { ...identity, uid: 1000 })
    assert.deepEqual(became, process.getuid?.() === 0 ? [] : [process.getuid?.()])
  })
})
