import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { CopiedAgent, Process } from '../../../relay/authority/copies.ts'
import { eventually } from '../../support/deadline.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../../support/tcp-kit.ts'

interface Item {
  readonly action: string
  readonly object: string
  readonly outcome: string
  readonly source: string
  readonly detail: string
}

describe('S14: an agent of which there seem to be two', () => {
  let kit: RelayKit
  let echo: TcpTarget
  const places = new Map<string, CopiedAgent>()

  before(async () => {
    kit = await startKit()
    echo = await echoTarget()
    for (const site of ['berlin', 'munich']) {
      await kit.startAgent({ site, rules: { db: echo.port } })
    }
    for (const { principal } of kit.relay.sessions.list())
      if (principal.kind === 'agent') places.set(principal.site, principal)
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await echo.close()
  })

  /** As if its certificate of last week came again. */
  const appear = (site: string): string => {
    const place = places.get(site)
    assert.ok(place !== undefined)
    const current = { notAfter: 2, renewedAt: 0 }
    kit.relay.authority.copies.stale(place, { notAfter: 1, source: '198.51.100.9', current })
    return place.id
  }
  const records = async (action: string) =>
    ((await kit.command('audit.list', { action })) as { items: readonly Item[] }).items
  const troubles = async () => {
    const { troubles } = (await kit.command('status.show', {})) as {
      troubles: readonly { site: string; leg: string; state: string; next: string }[]
    }
    return troubles.map(({ site, leg, state, next }) => [site, leg, state, next])
  }
  const echoes = async (port: number) => {
    const { socket, closed } = await dial(port)
    socket.end('words')
    return String((await closed).bytes)
  }

  it('is on record and a warning, and works on, where the tenant said nothing', async () => {
    const port = await kit.publish('berlin/db')
    const id = appear('berlin')
    await eventually(async () => (await records('agent.copied')).length === 1, 'the record')
    const [item] = await records('agent.copied')
    assert.deepEqual([item?.object, item?.outcome, item?.source], ['berlin', 'IDENTITY', '198.51.100.9'])
    assert.equal(item?.detail, `${id}: a certificate came that was replaced long ago, from 198.51.100.9`)
    assert.deepEqual(await troubles(), [
      [
        'berlin',
        'agent',
        'warn',
        'sallyport relay revoke agent berlin, then join anew on the machine that is meant',
      ],
    ])
    const { response, copies } = (await kit.command('copies.show', {})) as {
      response: string
      copies: readonly { site: string; agent: string }[]
    }
    assert.deepEqual([response, copies.map(({ site, agent }) => [site, agent])], ['alarm', [['berlin', id]]])
    assert.deepEqual(await records('freeze.add'), [])
    assert.equal(await echoes(port), 'words')
  })

  it('has its site stopped where the tenant wants that, and no other', async () => {
    await kit.command('copies.set', { response: 'freeze' })
    assert.equal((await records('copies.set'))[0]?.object, 'freeze')
    const [berlin, munich] = [await kit.publish('berlin/db'), await kit.publish('munich/db')]
    const running = await dial(munich)
    running.socket.write('x')
    await running.has(1)
    appear('munich')
    await running.closed
    await eventually(async () => (await records('freeze.add')).length === 1, 'the site is frozen')
    assert.equal(await echoes(munich), '')
    assert.equal(await echoes(berlin), 'words')
    const { items } = (await kit.command('freeze.list', {})) as { items: readonly object[] }
    assert.equal(items.length, 1)
  })

  it('is over when it is revoked', async () => {
    await kit.command('agent.revoke', { agent: 'munich' })
    const { copies } = (await kit.command('copies.show', {})) as { copies: readonly { site: string }[] }
    assert.deepEqual(
      copies.map(({ site }) => site),
      ['berlin'],
    )
  })

  it('wants a known answer', async () => {
    await assert.rejects(kit.command('copies.set', { response: 'shrug' }), { code: 'INPUT' })
  })

  it('is noticed by sessions of two processes', () => {
    const seen: Process[] = []
    const [live] = kit.relay.sessions.list()
    assert.ok(live !== undefined)
    const { copies } = kit.relay.authority
    const { replaced } = copies
    copies.replaced = (_agent, old, next) => void seen.push(old, next)
    try {
      const other = { ...live, instance: 'other', sourceAddress: '198.51.100.9' }
      kit.relay.sessions.add(other, [])
      kit.relay.sessions.remove(other, 'CANCELLED')
    } finally {
      copies.replaced = replaced
    }
    assert.deepEqual([seen.at(-1)?.instance, seen.at(-1)?.sourceAddress], ['other', '198.51.100.9'])
    assert.equal(seen.at(-2)?.instance, live.instance)
  })
})
