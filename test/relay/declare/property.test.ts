import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import * as v from 'valibot'
import { canonicalContents } from '../../../relay/declare/canonical.ts'
import { contentsOf, type Document, documentOf, documentSchema } from '../../../relay/declare/document.ts'
import type { TunnelError } from '../../../shared/errors.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'

/** Where nothing answers, and nothing is asked: such addresses are refused to deliveries. */
const NOWHERE = '127.0.0.1'

let kit: RelayKit

interface Planned {
  readonly digest: string
  readonly changes: readonly { readonly action: string; readonly section: string; readonly name: string }[]
}

before(async () => {
  kit = await startKit()
  await kit.command('agent.invite', { site: 'hq' })
  for (const login of ['ann', 'bob']) await kit.command('person.add', { login })
  await kit.command('role.grant', { person: 'ann', role: 'owner' })
})

after(() => kit[Symbol.asyncDispose]())

const name = fc.constantFrom('app', 'web', 'etl-2')
const environment = fc.constantFrom('production', 'test')
const resource = fc.constantFrom('hq/db', 'hq/web', 'lab/db')
const expiresAt = fc.option(
  fc.constantFrom('2999-01-01T00:00:00Z', '2999-01-01T01:00:00+01:00', '3000-05-05T05:05:05.5Z'),
  {
    nil: undefined,
  },
)
const hours = fc.option(fc.constantFrom('mon-fri 08:00-18:00 Europe/Berlin', 'sat,sun 22:00-06:00 UTC'), {
  nil: undefined,
})
const range = fc.constantFrom('10.0.0.0/8', '192.0.2.0/24', '2001:db8::/32', '198.51.100.7/32')
const role = fc.constantFrom('administrator', 'operator', 'auditor', 'developer')

function unique<T>(items: fc.Arbitrary<T>, keyOf: (item: T) => string, maxLength = 4) {
  return fc.uniqueArray(items, { selector: keyOf, maxLength })
}

/** What of a record is not undefined: nothing else is sent. */
function said<T extends object>(record: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return record.map(
    (item) => Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined)) as T,
  )
}

const target = fc.oneof(
  fc.record({ kind: fc.constant('connector'), environment, target: name }),
  fc.record({ kind: fc.constant('resource'), environment, target: resource }),
  fc.constant({ kind: 'logins' }),
)

const place = fc.oneof(
  fc.constant({}),
  fc.record({ environment }),
  fc.record({ environment, site: fc.constant('hq') }),
)

const staging = fc.boolean()

const sections = fc.record(
  {
    settings: fc.record({
      lockoutFailures: fc.integer({ min: 3, max: 100 }),
      copies: fc.constantFrom('alarm', 'freeze'),
      secondFactor: fc.boolean(),
    }),
    environments: staging.map((isThere) => [
      { environment: 'production', isProduction: true },
      { environment: 'test', isProduction: false },
      ...(isThere ? [{ environment: 'staging', isProduction: false }] : []),
    ]),
    restrictions: unique(
      fc.record({
        restriction: name,
        ranges: fc.uniqueArray(range, { minLength: 1 }),
        targets: unique(target, (one) => JSON.stringify(one)),
      }),
      ({ restriction }) => restriction,
    ),
    publications: unique(
      fc.record({
        environment,
        resource,
        kind: fc.constantFrom('host', 'sni'),
        address: fc.constantFrom('a.example', 'b.example', 'c.example'),
      }),
      ({ address }) => address,
    ),
    deliveries: unique(
      fc.oneof(
        fc.record({
          delivery: name,
          kind: fc.constant('syslog'),
          target: fc.constantFrom(`${NOWHERE}:6514`, `${NOWHERE}:6515`),
        }),
        fc.record({
          delivery: name,
          kind: fc.constant('webhook'),
          target: fc.constant(`https://${NOWHERE}/hook`),
        }),
      ),
      ({ delivery }) => delivery,
    ),
    providers: unique(
      fc.record({
        provider: name,
        settings: fc.record({
          kind: fc.constant('oidc'),
          issuer: fc.constantFrom('https://one.example', 'https://two.example'),
          clientId: fc.constant('sallyport'),
          rules: fc.array(
            said(
              fc.record({
                claim: name,
                value: name,
                role,
                environment: fc.option(environment, { nil: undefined }),
              }),
            ),
            {
              minLength: 1,
              maxLength: 3,
            },
          ),
        }),
        secret: fc.constantFrom('one', 'two'),
      }),
      ({ provider }) => provider,
    ),
    machines: unique(
      fc
        .tuple(fc.record({ machine: name, role, viaApi: fc.boolean() }), place)
        .map(([one, at]) => ({ ...one, ...at })),
      ({ machine }) => machine,
    ),
    roles: unique(
      fc
        .tuple(fc.record({ person: fc.constantFrom('ann', 'bob'), role, viaApi: fc.boolean() }), place)
        .map(([one, at]) => ({ ...one, ...at })),
      ({ viaApi: _, ...one }) => JSON.stringify(Object.entries(one).sort()),
    ).map((some) => [{ person: 'ann', role: 'owner', viaApi: false }, ...some]),
    freezes: unique(
      fc.oneof(
        fc.record({
          kind: fc.constant('site'),
          environment: fc.constant('production'),
          name: fc.constant('hq'),
          reason: name,
        }),
        fc.record({ kind: fc.constant('tenant'), reason: name }),
      ),
      ({ kind }) => kind,
    ),
  },
  { requiredKeys: [] },
)

/** Grants are of connectors that are declared. */
const connected = fc.option(
  unique(
    fc.record({
      environment,
      connector: name,
      grants: unique(said(fc.record({ resource, expiresAt, hours })), (one) => one.resource),
    }),
    (one) => `${one.environment} ${one.connector}`,
  ).map((all) => ({
    connectors: all.map(({ environment: where, connector }) => ({ environment: where, connector })),
    grants: all.flatMap(({ environment: where, connector, grants }) =>
      grants.map((grant) => ({ environment: where, connector, ...grant })),
    ),
  })),
  { nil: {} },
)

const declared = fc
  .tuple(sections, connected)
  .map(([one, other]) => ({ ...one, ...other }) as unknown as Document)

function plan(document: Document): Promise<Planned> {
  return kit.command('declare.plan', document) as Promise<unknown> as Promise<Planned>
}

/** In one order, and without secrets. */
function comparable(document: Document): unknown {
  const { providers, ...rest } = canonicalContents(contentsOf(v.parse(documentSchema, document)))
  const shown = providers?.map(({ secret: _, ...one }) => one)
  return Object.fromEntries(
    Object.entries({ ...rest, ...(shown === undefined ? {} : { providers: shown }) }).map(
      ([section, items]) => [section, items?.map((item) => JSON.stringify(item, inOrder)).sort()],
    ),
  )
}

function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

describe('whatever is declared', () => {
  it('is there once it was applied, is exported as it was declared, and then nothing differs', async () => {
    await fc.assert(
      fc.asyncProperty(declared, async (document) => {
        const first = await plan(document)
        await kit.command('declare.apply', { ...document, digest: first.digest })
        const second = await plan(document)
        assert.deepEqual(second.changes, [])
        const exported = (await kit.command('declare.export', {})) as unknown as { declaration: Document }
        assert.deepEqual((await plan(exported.declaration)).changes, [])
        const managed = Object.keys(document)
        const there = Object.entries(documentOf(contentsOf(exported.declaration))).filter(([section]) =>
          managed.includes(section),
        )
        assert.deepEqual(comparable(Object.fromEntries(there) as Document), comparable(document))
      }),
      { numRuns: 40 },
    )
  })

  it('is planned or refused with the member that is wrong, whatever stands in it', async () => {
    const odd = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('', '/', 'a/b', '::', '0', -1, 'mon-fri 25:00-26:00 X'),
    )
    const broken = fc
      .tuple(declared, fc.array(fc.nat(30), { maxLength: 4 }), odd)
      .map(([document, path, value]) => {
        const copy = structuredClone(document)
        put(copy, path, value)
        return copy
      })
    await fc.assert(
      fc.asyncProperty(broken, async (document) => {
        await plan(document).catch((error: TunnelError) => {
          assert.ok(error.code === 'INPUT' && error.field !== undefined, `${error.code} ${error.message}`)
        })
      }),
      { numRuns: 200 },
    )
  })
})

/** Puts a value where a path of positions leads to. */
function put(whole: object, path: readonly number[], value: unknown): void {
  const keys = Object.keys(whole)
  const [position = 0, ...rest] = path
  const key = keys[position % keys.length]
  if (key === undefined) return
  const members = whole as Record<string, unknown>
  const member = members[key]
  if (rest.length === 0 || typeof member !== 'object' || member === null) members[key] = value
  else put(member, rest, value)
}
