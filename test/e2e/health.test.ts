import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { generate } from 'selfsigned'
import type { Connector } from '../../connector/index.ts'
import type { TunnelError } from '../../shared/errors.ts'
import { eventually, within } from '../support/deadline.ts'
import { type PostgresService, startPostgres } from '../support/postgres.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { echoTarget, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'

interface ShownTrouble {
  readonly state: string
  readonly leg: string
  readonly what: string
  readonly code?: string
  readonly since?: number
  readonly text?: string
  readonly agentId?: string
}

interface ShownStatus {
  readonly troubles: readonly ShownTrouble[]
  readonly sessions: readonly { readonly kind: string; readonly targets?: Readonly<Record<string, number>> }[]
}

const statusOf = async (kit: RelayKit) =>
  (await kit.command('status.show', { tenant: 'default' })) as ShownStatus

/** A port of this host on which nobody listens. */
async function deadPort(): Promise<number> {
  const target = await listenTarget()
  await target.close()
  return target.port
}

async function failureOf(connector: Connector, resource: string): Promise<TunnelError> {
  const [error] = await within(once(connector.connect(resource), 'error'), `the failure of ${resource}`)
  return error as TunnelError
}

/** The table of a rule for a port of this host. */
function ruleFor(port: number): string {
  return `host = "127.0.0.1"\nallow_loopback = true\nprotocol = "tcp"\nport = ${port}`
}

/** Has a running PostgreSQL offer TLS with a certificate that nobody trusts. */
async function offerTls({ host, port, user, password, database }: PostgresService): Promise<void> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  const directory = (await client.query<{ data_directory: string }>('show data_directory')).rows[0]
    ?.data_directory
  // The server writes the files itself: they must be its own.
  for (const [file, pem] of [
    ['server.crt', made.cert],
    ['server.key', made.private],
  ] as const) {
    await client.query(`copy (select unnest(string_to_array('${pem}', E'\\n'))) to '${directory}/${file}'`)
  }
  await chmod(`${directory}/server.key`, 0o600)
  await client.query('alter system set ssl = on')
  await client.query('select pg_reload_conf()')
  await client.end()
  const isOffered = async () => {
    const guest = new pg.Client({ host, port, user, password, database, ssl: { ca: made.cert } })
    try {
      await guest.connect()
      return true
    } catch {
      return false
    } finally {
      await guest.end()
    }
  }
  await eventually(isOffered, 'PostgreSQL offers TLS')
}

describe('health, from the target to the relay', () => {
  let kit: RelayKit
  let database: PostgresService
  let echo: TcpTarget
  let dead: number
  let agent: TestAgent

  before(async () => {
    kit = await startKit()
    database = await startPostgres()
    echo = await echoTarget()
    dead = await deadPort()
    agent = await kit.startAgent({
      probes: true,
      rules: {
        db: `${ruleFor(database.port)}\nprobe = "postgres"`,
        wrong: `${ruleFor(echo.port)}\nprobe = "redis"`,
        told: `${ruleFor(dead)}\ndetail = true`,
        dead,
        echo: echo.port,
        quiet: `${ruleFor(dead)}\nprobe = "none"`,
      },
    })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await database.stop()
    await echo.close()
  })

  it('the agent knows how each of its targets is', async () => {
    const states = () =>
      agent.agent.status().targets.map(({ resource, state, code }) => [resource, state, code])
    await eventually(() => states().every(([, state]) => state !== 'unknown'), 'every target was asked')
    assert.deepEqual(states(), [
      ['db', 'ok', undefined],
      ['wrong', 'failing', 'TARGET_UNHEALTHY'],
      ['told', 'failing', 'CONNECTION_REFUSED'],
      ['dead', 'failing', 'CONNECTION_REFUSED'],
      ['echo', 'ok', undefined],
      ['quiet', 'unasked', undefined],
    ])
  })

  it('the relay names the broken leg, since when, and no address that the site does not allow', async () => {
    const began = Date.now()
    const countsOf = ({ sessions }: ShownStatus) => sessions.find(({ kind }) => kind === 'agent')?.targets
    await eventually(async () => countsOf(await statusOf(kit))?.unknown === 0, 'the relay knows it')
    const status = await statusOf(kit)
    const { troubles } = status
    assert.deepEqual(
      troubles.map(({ what, state, leg, code }) => `${what} ${state} ${leg} ${code}`),
      [
        'production berlin/wrong failing agent-target TARGET_UNHEALTHY',
        'production berlin/told failing agent-target CONNECTION_REFUSED',
        'production berlin/dead failing agent-target CONNECTION_REFUSED',
      ],
    )
    for (const { since } of troubles) assert.ok(Math.abs(began - (since ?? 0)) < 30_000)
    assert.match(troubles[1]?.text ?? '', new RegExp(`127\\.0\\.0\\.1:${dead}`))
    const texts = troubles.filter(({ what }) => !what.endsWith('told')).map(({ text }) => text)
    assert.deepEqual(texts, ['what answers is not Redis', undefined])
    assert.deepEqual(countsOf(status), { ok: 2, warn: 0, failing: 3, unknown: 0, unasked: 1 })
  })

  it('PostgreSQL finds nothing in it to write into its log', async () => {
    assert.doesNotMatch(database.log(), /startup packet|could not|FATAL|ERROR/)
  })

  it('nor where it offers TLS, once it has shown its certificate', async () => {
    await offerTls(database)
    const target = () => agent.agent.status().targets.find(({ resource }) => resource === 'db')
    const askAgain = async (maxStreams: number) => {
      const before = target()?.since ?? 0
      await agent.writeRules({
        db: `${ruleFor(database.port)}\nprobe = "postgres"\nmax_streams = ${maxStreams}`,
        dead,
      })
      // A rule that changes is asked anew at once.
      await eventually(
        () => (target()?.since ?? 0) > before && target()?.state === 'ok',
        'it was asked again',
      )
    }
    await askAgain(7)
    assert.match(target()?.detail ?? '', /PostgreSQL, with TLS: TLS, certificate until/)
    for (let round = 8; round < 14; round++) await askAgain(round)
    // The first handshake breaks off because nobody here trusts the certificate; those after it do not.
    const complaints = database.log().match(/could not accept|startup packet|FATAL/g) ?? []
    assert.ok(complaints.length <= 1, database.log())
  })

  it('a stream to a target that fails says since when, and bears no address', async () => {
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/dead', 'munich/db'))
    const { code, leg, detail } = await failureOf(connector, 'berlin/dead')
    assert.deepEqual([code, leg], ['CONNECTION_REFUSED', 'agent-target'])
    assert.match(detail, /^failing since \d{4}-\d\d-\d\dT[\d:.]+Z$/)
  })

  it('a rule that goes leaves the status, and a pause is one trouble at the agent', async () => {
    await agent.writeRules({ echo: echo.port, dead })
    await eventually(async () => (await statusOf(kit)).troubles.length === 1, 'only one is left')
    await agent.agent.pause({ since: Date.now() })
    const isPaused = async () => {
      const [trouble, ...others] = (await statusOf(kit)).troubles
      return others.length === 0 && trouble?.code === 'PAUSED' && trouble.leg === 'agent'
    }
    await eventually(isPaused, 'the pause is known')
    await agent.agent.pause(undefined)
    await eventually(
      async () => (await statusOf(kit)).troubles[0]?.code === 'CONNECTION_REFUSED',
      'it is over',
    )
  })

  it('a site whose agent has gone is offline since then, for the operator and for the connector', async () => {
    await agent.stop()
    const offline = async () => (await statusOf(kit)).troubles.find(({ code }) => code === 'AGENT_OFFLINE')
    await eventually(async () => (await offline()) !== undefined, 'the relay knows it')
    const trouble = await offline()
    assert.deepEqual([trouble?.leg, trouble?.what], ['relay-agent', 'production berlin'])
    assert.ok((trouble?.since ?? 0) > Date.now() - 30_000)
    const connector = await kit.connect(await kit.credentials('dev2', 'berlin/echo'))
    const error = await failureOf(connector, 'berlin/echo')
    assert.deepEqual([error.code, error.leg], ['AGENT_OFFLINE', 'relay-agent'])
    assert.match(error.detail, /^berlin, since \d{4}-/)
  })
})

describe('two agents of one site', () => {
  let kit: RelayKit
  let echo: TcpTarget
  let first: TestAgent
  let second: TestAgent
  let connector: Connector

  const streamsOf = ({ agent }: TestAgent) => agent.status().streams
  const stateOf = ({ agent }: TestAgent) => agent.status().targets[0]?.state

  before(async () => {
    kit = await startKit()
    echo = await echoTarget()
    first = await kit.startAgent({ probes: true, rules: { service: await deadPort() } })
    second = await kit.startAgent({ probes: true, rules: { service: echo.port } })
    connector = await kit.connect(await kit.credentials('dev', 'berlin/service'))
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await echo.close()
  })

  const failingCount = async () =>
    (await statusOf(kit)).troubles.filter(({ code }) => code !== undefined).length

  it('every new stream goes to the one whose target is well, however much it has to do', async () => {
    await eventually(async () => stateOf(first) === 'failing' && (await failingCount()) === 1, 'it is known')
    for (let count = 1; count <= 20; count++) {
      const duplex = connector.connect('berlin/service')
      await within(once(duplex, 'connect'), `stream ${count}`)
      duplex.on('error', () => undefined)
    }
    assert.deepEqual([streamsOf(first), streamsOf(second)], [0, 20])
  })

  it('where both fail one of them is tried all the same', async () => {
    const { port } = echo
    await echo.close()
    // The first stream that finds out tells it, before any probe does.
    assert.equal((await failureOf(connector, 'berlin/service')).code, 'CONNECTION_REFUSED')
    await eventually(async () => (await failingCount()) === 2, 'both are known to fail')
    echo = await listenTarget((socket) => socket.pipe(socket), port)
    const reaches = async () => {
      const duplex = connector.connect('berlin/service')
      const connected = once(duplex, 'connect').then(
        () => true,
        () => false,
      )
      duplex.on('error', () => undefined)
      return within(connected, 'an outcome')
    }
    await eventually(reaches, 'a stream reaches the target that is back')
    await eventually(() => stateOf(second) === 'ok', 'its agent has noticed')
  })
})
