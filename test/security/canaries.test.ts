import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { collectMetrics } from '../../relay/metrics/collect.ts'
import { formatMetrics } from '../../relay/metrics/exposition.ts'
import { watchLoopDelay } from '../../relay/metrics/loop-delay.ts'
import { realEffects } from '../../shared/effects.ts'
import { type ApiKit, startApiKit } from '../support/api-kit.ts'
import { echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/**
 * S32: a canary in the place of each secret and payload that passes a relay, with the log at debug; afterwards none is in the
 * log, in any file of the data directory, in the audit, in the metrics, or in what a refusal says. The support bundle of an
 * agent has its own test, test/agent/local/support-bundle.test.ts.
 */

const canary = (what: string) => `canary-${what}-${randomBytes(12).toString('hex')}`

const CANARIES = {
  password: canary('password'),
  bearer: canary('bearer'),
  cookie: canary('cookie'),
  'proxy password': canary('proxy'),
  link: canary('link'),
  'device code': canary('device'),
  query: canary('query'),
  body: canary('body'),
  payload: canary('payload'),
  'join token': canary('join'),
} as const

async function filesOf(directory: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(file)] as const)))
}

describe('S32: canaries in secrets and payloads', () => {
  let api: ApiKit
  let service: TcpTarget
  /** Everything that a refusal said. */
  const answers: string[] = []

  before(async () => {
    api = await startApiKit()
    service = await echoTarget()
  })

  after(async () => {
    await api[Symbol.asyncDispose]()
    await service.close()
  })

  const send = async (method: string, path: string, ask: Parameters<ApiKit['ask']>[2]) => {
    const answer = await api.ask(method, path, ask)
    answers.push(answer.text, JSON.stringify(answer.headers))
    return answer.status
  }

  it('are refused, or carried, and nobody repeats them', async () => {
    const { kit } = api
    const login = (password: string) =>
      send('POST', '/session', { body: { tenant: 'default', login: 'ann', password } })
    assert.equal(await login(CANARIES.password), 401)
    assert.equal(await send('GET', '/tenants/default/people', { token: CANARIES.bearer }), 401)
    assert.equal(await send('GET', '/tenants/default/people', { session: CANARIES.cookie }), 401)
    const link = { link: `sp_link_default_${CANARIES.link}`, password: CANARIES.password }
    assert.equal(await send('POST', '/links/spend', { body: link }), 401)
    assert.equal(await send('POST', '/devices/token', { body: { deviceCode: CANARIES['device code'] } }), 401)
    assert.equal(await send('GET', `/tenants/default/people?cursor=${CANARIES.query}&x=1`, {}), 401)
    const token = api.callers.withRole('owner')
    const odd = { unknown: CANARIES.body, login: CANARIES.body }
    assert.equal(await send('POST', '/tenants/default/people', { token, body: odd }), 400)
    assert.equal(await send('POST', '!/v1/enroll', { body: { token: CANARIES['join token'] } }), 400)
    const headers = { 'proxy-authorization': `Basic ${CANARIES['proxy password']}` }
    assert.equal(await send('POST', '/session', { headers, body: '{' }), 400)

    const agent = await kit.startAgent({ rules: { echo: service.port } })
    const connector = await kit.connect(await kit.credentials('app', 'berlin/echo'))
    const duplex = connector.connect('berlin/echo')
    duplex.write(CANARIES.payload)
    const [echoed] = (await duplex.iterator({ destroyOnReturn: false }).next()).value ? [true] : [false]
    assert.equal(echoed, true)
    duplex.destroy()
    for (const line of agent.log.records) answers.push(JSON.stringify(line))
  })

  it('are in no log, no file, no record, no metric and no answer', async () => {
    const { kit } = api
    await kit.relay.trail.flush()
    using delay = watchLoopDelay(realEffects)
    const places = new Map<string, Buffer>([
      ...(await filesOf(kit.directory)),
      ['log', Buffer.from(kit.log.records.map((line) => JSON.stringify(line)).join('\n'))],
      ['metrics', Buffer.from(formatMetrics(collectMetrics(kit.relay, delay)))],
      ['answers', Buffer.from(answers.join('\n'))],
    ])
    assert.ok(places.size > 4 && answers.length > 10)
    for (const [secret, text] of Object.entries(CANARIES)) {
      for (const form of [text, Buffer.from(text).toString('base64url').slice(0, -2)]) {
        for (const [place, content] of places) {
          assert.equal(content.includes(form), false, `${secret} in ${place}`)
        }
      }
    }
  })

  it('would be found: what is no secret is', async () => {
    const files = await filesOf(api.kit.directory)
    assert.ok([...files.values()].some((content) => content.includes('berlin')))
    assert.ok(api.kit.log.records.length > 0)
  })
})
