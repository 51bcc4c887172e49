import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import { readDeclaredFile } from '../../../relay/declare/file.ts'
import { formatDeclared, planLines } from '../../../relay/declare/text.ts'
import { TunnelError } from '../../../shared/errors.ts'

const surroundings = {
  env: { CORP: 'from the environment', EMPTY: '' },
  signal: new AbortController().signal,
}

const HEAD = 'version = 1\n[tenants.default]\n'

let directory: string

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sallyport-declare-'))
})

after(() => rm(directory, { recursive: true, force: true }))

async function read(text: string, name = 'relay.toml') {
  await writeFile(join(directory, name), text)
  return readDeclaredFile(join(directory, name), surroundings)
}

/** What is said of a text that is wrong, without the way to the file. */
async function faultOf(text: string, name?: string): Promise<string> {
  const error = await read(text, name).then(
    () => assert.fail(`taken: ${text}`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof TunnelError, String(error))
  return `${error.code} ${error.detail.replaceAll(`${directory}/`, '')}`
}

const PROVIDER = `
[[tenants.default.providers]]
provider = "corp"
secret = "SECRET"
[tenants.default.providers.settings]
kind = "oidc"
issuer = "https://idp.example"
clientId = "sallyport"
rules = [{ claim = "groups", value = "ops", role = "operator" }]
`

describe('a file of declarations', () => {
  it('is TOML or JSON, with times in either way of writing', async () => {
    const grant = 'environment = "production"\nconnector = "app"\nresource = "hq/db"\n'
    const toml = await read(
      `version = 1\n[[tenants.acme.grants]]\n${grant}expiresAt = 2027-01-01T01:00:00+01:00\n`,
    )
    const [acme] = toml.tenants
    assert.equal(acme?.tenant, 'acme')
    const [first] = acme.document.grants as { expiresAt: string }[]
    assert.equal(Date.parse(first?.expiresAt ?? ''), Date.UTC(2027, 0, 1))
    const json = { version: 1, tenants: { acme: { settings: { lockoutFailures: 5 } }, other: {} } }
    const read2 = await read(JSON.stringify(json), 'relay.json')
    assert.deepEqual(
      read2.tenants.map(({ tenant, document }) => [tenant, document]),
      [
        ['acme', { settings: { lockoutFailures: 5 } }],
        ['other', {}],
      ],
    )
  })

  it('that is wrong is refused with file, line, member and rule', async () => {
    const connector = '[[tenants.default.connectors]]\nenvironment = "production"\nconnector = "app"\n'
    const wrong: [string, RegExp][] = [
      ['version = 1\nx =\n', /^INPUT relay\.toml line 2: the whole breaks the rule: TOML: /],
      ['version = 2\n[tenants.default]\n', /^INPUT relay\.toml: version breaks the rule: literal 1\.$/],
      ['version = 1\n', /tenants breaks the rule: it is missing\.$/],
      ['version = 1\n[tenants."No Name"]\n', /^INPUT relay\.toml: tenants/],
      [`${HEAD}grant = []\n`, /line 3: tenants\.default\.grant breaks the rule: there is no such member\.$/],
      [
        `${HEAD}${connector}${connector.replace('app', 'A b')}`,
        /line 8: tenants\.default\.connectors\.1\.connector breaks the rule: regex/,
      ],
      [
        `${HEAD}${connector}${connector}`,
        /line 6: tenants\.default\.connectors\.1 breaks the rule: once only, and connectors\.0 is the same\.$/,
      ],
      [
        `${HEAD}${connector}extra = 1\n`,
        /line 6: tenants\.default\.connectors\.0\.extra breaks the rule: there is no such member\.$/,
      ],
      [
        `${HEAD}[[tenants.default.connectors]]\nconnector = "app"\n`,
        /line 3: tenants\.default\.connectors\.0\.environment breaks the rule: it is missing\.$/,
      ],
      [
        `${HEAD}restrictions = [{ restriction = "x", ranges = ["y"] }]\n`,
        /line 3: tenants\.default\.restrictions\.0\.ranges breaks the rule: y: /,
      ],
      [
        `${HEAD}settings = { lockoutFailures = 2 }\n`,
        /line 3: tenants\.default\.settings\.lockoutFailures breaks the rule: min_value >=3\.$/,
      ],
    ]
    for (const [text, told] of wrong) assert.match(await faultOf(text), told, text)
    assert.match(
      await faultOf('{"version":1,"version":1}', 'twice.json'),
      /^INPUT twice\.json: version breaks the rule: /,
    )
    assert.match(
      await faultOf(`# ${'x'.repeat(1_048_576)}`),
      /^USAGE relay\.toml has more than 1048576 bytes\.$/,
    )
    await assert.rejects(readDeclaredFile(join(directory, 'none.toml'), surroundings), { code: 'USAGE' })
  })

  it('that was cut or written over anywhere is taken, or refused as what it is', async () => {
    const whole = formatDeclared({
      default: {
        settings: { lockoutFailures: 5 },
        grants: [{ environment: 'test', connector: 'app', resource: 'hq/db', hours: 'mon 08:00-09:00 UTC' }],
        freezes: [{ kind: 'tenant', reason: 'x' }],
      },
    })
    const text = fc
      .tuple(fc.nat(whole.length), fc.nat(20), fc.string({ unit: 'binary', maxLength: 10 }))
      .map(([at, length, put]) => whole.slice(0, at) + put + whole.slice(at + length))
    await fc.assert(
      fc.asyncProperty(text, async (one) => {
        await read(one, 'fuzz.toml').catch((error: unknown) => {
          assert.ok(error instanceof TunnelError && ['INPUT', 'USAGE'].includes(error.code), String(error))
        })
      }),
      { numRuns: 100 },
    )
  })

  it('names the line of what only the relay can say', async () => {
    const file = await read(`${HEAD}\n[[tenants.default.roles]]\nrole = "auditor"\nperson = "nobody"\n`)
    const said = new TunnelError('INPUT', 'roles.0.person breaks the rule: somebody who is there.')
    const { detail } = file.placed(said, 'default') as TunnelError
    assert.equal(
      detail.replace(`${directory}/`, ''),
      'relay.toml line 6: tenants.default.roles.0.person breaks the rule: somebody who is there.',
    )
    const other = new TunnelError('FORBIDDEN', 'no')
    assert.equal(file.placed(other, 'default'), other)
  })

  it('names secrets by file or environment, and never holds one', async () => {
    await writeFile(join(directory, 'corp.secret'), 'from a file\n', { mode: 0o600 })
    const secretOf = async (named: string) => {
      const { tenants } = await read(`version = 1\n${PROVIDER.replace('SECRET', named)}`)
      const providers = tenants.flatMap(({ document }) => document.providers as { secret: string }[])
      return providers[0]?.secret
    }
    assert.equal(await secretOf('file:corp.secret'), 'from a file')
    assert.equal(await secretOf('env:CORP'), 'from the environment')
    for (const named of ['hunter2-hunter2', 'env:EMPTY', 'env:NONE']) {
      const fault = await faultOf(`version = 1\n${PROVIDER.replace('SECRET', named)}`)
      assert.match(
        fault,
        /line 5: tenants\.default\.providers\.0\.secret breaks the rule: file:PATH or env:NAME/,
      )
      assert.doesNotMatch(fault, /hunter2/)
    }
    assert.match(
      await faultOf(`version = 1\n${PROVIDER.replace('SECRET', 'file:none')}`),
      /^USAGE Cannot read the secret/,
    )
  })
})

describe('what is printed', () => {
  const pem = `-----BEGIN CERTIFICATE-----\n${'MIIB+/='.repeat(9)}\nAA==\n-----END CERTIFICATE-----\n`

  it('as a file reads back as what it was, with certificates in lines of their own', () => {
    const odd = 'quotes " and \\ and \u001b and ü and """'
    const document = {
      settings: { lockoutFailures: 10 },
      connectors: [],
      restrictions: [
        { restriction: 'office', ranges: ['192.0.2.0/24'], ca: pem, targets: [{ kind: 'logins' as const }] },
      ],
      freezes: [{ kind: 'tenant' as const, reason: odd }],
    }
    const text = formatDeclared({ default: document })
    assert.deepEqual(JSON.parse(JSON.stringify(parse(text))), { version: 1, tenants: { default: document } })
    assert.match(text, /^-----BEGIN CERTIFICATE-----$/m)
    assert.equal(text.includes('\u001b'), false)
  })

  it('as a plan says what is complete, and every difference', () => {
    const base = { tenant: 'default', digest: '00', sections: ['grants'] }
    assert.deepEqual(planLines({ ...base, changes: [] }), [
      'tenant default: as declared',
      '  complete as declared: grants; everything else is left alone',
    ])
    const name = 'app to hq/db in production'
    const lines = planLines({
      ...base,
      changes: [
        { action: 'remove', section: 'grants', name, fields: [] },
        { action: 'change', section: 'grants', name, fields: [{ field: 'hours', to: 'x' }] },
        { action: 'create', section: 'grants', name, fields: [{ field: 'targets', to: ['y'] }] },
        {
          action: 'replace',
          section: 'machines',
          name: 'ci',
          fields: [{ field: 'viaApi', from: false, to: true }],
        },
      ],
    })
    assert.deepEqual(lines, [
      'tenant default: 1 to add, 1 to change, 1 to remove and add again, 1 to remove',
      '  complete as declared: grants; everything else is left alone',
      '  - grants        app to hq/db in production',
      '  ~ grants        app to hq/db in production',
      '      hours  (nothing) -> x',
      '  + grants        app to hq/db in production',
      '      targets  ["y"]',
      '  ! machines      ci  (removed and added again)',
      '      viaApi  false -> true',
    ])
  })
})
