import assert from 'node:assert/strict'
import https from 'node:https'
import { test } from 'node:test'
import { realEffects } from '../../../shared/effects.ts'
import { relayTlsOptions } from '../../../shared/identity/relay-tls.ts'
import { within } from '../../support/deadline.ts'
import { linkOf, logIn, PASSWORD, type PeopleKit, setUpOwner, startPeopleKit } from './people-kit.ts'

const ME = '/tenants/default/me'

/** How often it is asked whether a listener may still listen, in ms: here never, so that only the change itself can do it. */
const CHECK_MS = 4_000

const effects = {
  ...realEffects,
  after: (ms: number, callback: () => void) =>
    ms === CHECK_MS ? () => undefined : realEffects.after(ms, callback),
}

/** Listens to the audit as it comes in. @returns waits for the end */
async function listen({ relay }: PeopleKit, headers: Record<string, string>): Promise<() => Promise<void>> {
  const { port } = relay.address
  const request = https.get({
    ...relayTlsOptions({ serverName: 'localhost', ca: relay.authority.authority.certificate.toString() }),
    ...{ host: '127.0.0.1', port, path: '/api/v1/tenants/default/audit/live', agent: false },
    headers: { host: `localhost:${port}`, ...headers },
  })
  const { promise, resolve, reject } = Promise.withResolvers<Promise<void>[]>()
  request.on('error', reject)
  request.on('response', (response) => {
    assert.equal(response.statusCode, 200)
    response.on('error', () => undefined)
    resolve([new Promise((done) => response.once('close', done).resume())])
  })
  const [ended] = await within(promise, 'the head of the stream')
  return async () => within(ended ?? Promise.reject(new Error('no end')), 'the end of the stream')
}

/** Each takes a session or key away from the owner. @returns what it was carried by */
const ENDS: Readonly<Record<string, (kit: PeopleKit, cookie: string) => Promise<unknown>>> = {
  logout: (kit, cookie) => kit.ask('POST', '/session/logout', {}, { cookie }),
  'an end from another session': async (kit) => {
    const other = await logIn(kit, 'olga')
    const { body } = await kit.ask('GET', `${ME}/sessions`, undefined, { cookie: other })
    const sessions = body.items as { session: string; isThis: boolean }[]
    for (const { session } of sessions.filter(({ isThis }) => !isThis)) {
      await kit.ask('DELETE', `${ME}/sessions/${session}`, undefined, { cookie: other })
    }
  },
  'a new password': (kit, cookie) =>
    kit.ask('POST', `${ME}/password`, { current: PASSWORD, next: 'another sentence of hers' }, { cookie }),
  'a reset that was used': async (kit) => {
    const made = await kit.command('person.reset', { person: 'olga' })
    await kit.ask('POST', '/links/spend', { link: linkOf(made), password: 'another sentence of hers' })
  },
  'another login in the same browser': (kit, cookie) =>
    kit.ask('POST', '/session', { login: 'olga', password: PASSWORD }, { cookie }),
}

for (const [what, end] of Object.entries(ENDS)) {
  test(`${what} ends what its person listens to, at once`, async (t) => {
    const kit = await startPeopleKit(t, { effects })
    const cookie = await setUpOwner(kit)
    const ended = await listen(kit, { cookie: `__Host-sallyport=${cookie}` })
    await end(kit, cookie)
    await ended()
  })
}

test('a key that is revoked ends what its program listens to, and nothing else', async (t) => {
  const kit = await startPeopleKit(t, { effects })
  await setUpOwner(kit)
  await kit.command('role.grant', { person: 'olga', role: 'auditor', viaApi: true })
  const cookie = await logIn(kit, 'olga')
  const roles = [{ role: 'auditor', viaApi: true }]
  const { body } = await kit.ask('POST', `${ME}/keys`, { name: 'ci', roles }, { cookie })
  const byKey = await listen(kit, { authorization: `Bearer ${String(body.key)}` })
  const bySession = await listen(kit, { cookie: `__Host-sallyport=${cookie}` })
  const isOver = { session: false }
  const over = bySession().finally(() => {
    isOver.session = true
  })
  await kit.ask('DELETE', `${ME}/keys/${String(body.id)}`, undefined, { cookie })
  await byKey()
  assert.equal(isOver.session, false)
  await kit.ask('POST', '/session/logout', {}, { cookie })
  await over
})
