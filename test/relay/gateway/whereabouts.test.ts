import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Whereabouts } from '../../../relay/gateway/whereabouts.ts'
import type { OpenMeta } from '../../../shared/handshake/open.ts'
import { FLAG } from '../../../shared/mux/frame.ts'
import type { OpenFrame } from '../../../shared/mux/session-handler.ts'
import { GRACE_MS } from '../../../shared/tunnel/resumption.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

const INSTANCE = new Uint8Array(16).fill(7)
const PLACE = { tenantId: 'default', environment: 'default', site: 'berlin' }
const secretOf = (number: number) => Buffer.alloc(16, `${number}.`)
const SECRET = secretOf(1)

function create({ agents = 2 } = {}) {
  const effects = new FakeEffects()
  const whereabouts = new Whereabouts({ effects, instance: INSTANCE, countAgents: async () => agents })
  const ask = async (flags: number, meta: Partial<OpenMeta>) => {
    const frame = { flags: FLAG.RESUMABLE | flags } as OpenFrame
    const whole: OpenMeta = { resource: 'berlin/db', protocol: 'tcp', secret: SECRET, ...meta }
    await whereabouts.check(frame, whole, PLACE)
    return whereabouts.agentFor(frame, whole)
  }
  return {
    effects,
    whereabouts,
    /** An OPEN for a new stream. */
    open: () => ask(0, {}),
    /** A search for a path by a stream that never had an answer. */
    search: (meta: Partial<OpenMeta> = {}) => ask(FLAG.REATTACH, { fresh: true, ...meta }),
    /** One by a stream that had. */
    goOn: (agent: string) => ask(FLAG.REATTACH, { fresh: false, agent }),
  }
}

describe('where streams without an answer went', () => {
  it('is known while they live and for the time that their openers may look for a path', async () => {
    const { effects, whereabouts, search } = create()
    const sent = whereabouts.sent(SECRET, 'a/1')
    assert.equal(await search(), 'a/1')
    whereabouts.ended(sent, 'SESSION_LOST', false)
    effects.advance(GRACE_MS.max)
    assert.equal(await search(), 'a/1')
    effects.advance(GRACE_MS.max)
    whereabouts.ended(whereabouts.sent(secretOf(2), 'b/1'), 'SESSION_LOST', false)
    await assert.rejects(search(), { code: 'UNANSWERED' })
  })

  it('is kept also of those that ended after the agent took them, since the answer may have been lost with the path', async () => {
    const { whereabouts, search } = create()
    whereabouts.ended(whereabouts.sent(SECRET, 'a/1'), 'TARGET_RESET', true)
    assert.equal(await search(), 'a/1')
  })

  it('is forgotten of those that ended well, or were refused: their target was not reached, or all was heard', async () => {
    for (const [code, isAccepted] of [
      ['OK', true],
      ['CONNECTION_REFUSED', false],
    ] as const) {
      const { whereabouts, search } = create()
      whereabouts.ended(whereabouts.sent(SECRET, 'a/1'), code, isAccepted)
      assert.equal(await search({ relay: INSTANCE }), undefined)
    }
  })

  it('does not end with a route that another has replaced', async () => {
    const { whereabouts, search } = create()
    const first = whereabouts.sent(SECRET, 'a/1')
    whereabouts.sent(SECRET, 'a/1')
    whereabouts.ended(first, 'OK', true)
    assert.equal(await search(), 'a/1')
  })

  it('is what the connector was told, where this relay knows nothing', async () => {
    assert.equal(await create().search({ agent: 'b/2' }), 'b/2')
  })

  it('may be nowhere: of a relay that alone was asked and does not know it, and of a site with one agent', async () => {
    assert.equal(await create().search({ relay: INSTANCE }), undefined)
    assert.equal(await create({ agents: 1 }).search(), undefined)
  })

  it('may be anywhere, and then nobody is asked: another relay was, or one that nobody names', async () => {
    for (const relay of [undefined, new Uint8Array(16)]) {
      await assert.rejects(create().search({ relay }), { code: 'UNANSWERED' })
    }
  })

  it('may be anywhere where more were lost than are remembered', async () => {
    const { effects, whereabouts, search } = create()
    for (let number = 0; number <= 32_768; number++) {
      const secret = Buffer.alloc(16)
      secret.writeUInt32BE(number)
      whereabouts.ended(whereabouts.sent(secret, 'a/1'), 'SESSION_LOST', false)
    }
    await assert.rejects(search({ relay: INSTANCE }), { code: 'UNANSWERED' })
    effects.advance(2 * GRACE_MS.max)
    assert.equal(await search({ relay: INSTANCE }), undefined)
  })

  it('is not asked for by streams that had an answer, which name their agent', async () => {
    const { whereabouts, goOn } = create()
    whereabouts.sent(SECRET, 'a/1')
    assert.equal(await goOn('a'), 'a')
  })

  it('keeps an OPEN that was overtaken by the search for a path from being sent again', async () => {
    const { whereabouts, open } = create()
    assert.equal(await open(), undefined)
    whereabouts.sent(SECRET, 'a/1')
    await assert.rejects(open(), { code: 'PROTOCOL' })
  })
})
