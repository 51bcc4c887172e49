import assert from 'node:assert/strict'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { type CredentialsKeeper, credentialsFile } from '../../../connector/identity/credentials-file.ts'
import { realEffects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { type ConnectorCredentials, writeCredentials } from '../../../shared/identity/credentials.ts'
import { dialRelay } from '../../../shared/tunnel/dial-relay.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'
import { jumpingEffects } from '../../support/clocks.ts'
import { eventually, within } from '../../support/deadline.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { echoTarget, type TcpTarget } from '../../support/tcp-kit.ts'

/** Past the time of renewal of a certificate of 90 days, and before its end. */
const LATE_MS = 75 * 86_400_000

describe("the renewal of a connector's certificate", () => {
  let kit: RelayKit
  let target: TcpTarget

  before(async () => {
    kit = await startKit()
    target = await echoTarget()
    await kit.startAgent({ site: 'hq', rules: { echo: target.port } })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  /** A file of credentials, and a clock that goes back as soon as another certificate is in it: so there is one renewal. */
  const fileOf = async (t: TestContext, name: string) => {
    const first = await kit.credentials(name, 'hq/echo')
    const path = join(await temporaryDirectory(t), 'app.json')
    await writeCredentials(path, first)
    const effects = jumpingEffects()
    const file = credentialsFile(path)
    const renewed = Promise.withResolvers<ConnectorCredentials>()
    const keeper: CredentialsKeeper = {
      ...file,
      async write(credentials) {
        await file.write(credentials)
        if (credentials.certificate === first.certificate) return
        effects.jump(-LATE_MS)
        renewed.resolve(credentials)
      },
    }
    return { first, path, effects, file, keeper, renewed: renewed.promise }
  }

  const knock = (credentials: ConnectorCredentials) =>
    dialRelay(kit.relay.address, '/v1/connector', credentials, AbortSignal.timeout(10_000)).then(
      (socket) => {
        socket.destroy()
        return 'let in'
      },
      (error: TunnelError) => error.code,
    )

  const sessionsOf = (name: string) =>
    kit.relay.sessions
      .list()
      .filter(({ principal }) => principal.kind === 'connector' && principal.name === name)

  it('S14: is done while it runs, and the certificate before counts for nothing after it', async (t) => {
    const { first, path, effects, keeper, renewed } = await fileOf(t, 'app')
    const connector = await kit.connect(first, { effects, keeper })
    // A copy, which is in already when the other renews.
    const ended = Promise.withResolvers<string>()
    const copy = await kit.connect(first, {
      onDown: ({ code }) => (code === 'IDENTITY' ? ended.resolve(code) : undefined),
    })
    const stream = connector.connect('hq/echo')
    await within(once(stream, 'connect'), 'a stream')
    effects.jump(LATE_MS)
    const next = await within(renewed, 'the renewal')
    assert.notEqual(next.key.reveal(), first.key.reveal(), 'the key is a fresh one')
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal(await within(ended.promise, 'the end of the copy'), 'IDENTITY')
    await eventually(() => sessionsOf('app').length === 1, 'one session, by the next certificate')
    assert.equal(await knock(first), 'IDENTITY')
    assert.equal(await knock(next), 'let in')
    stream.write('still there')
    assert.equal(String((await within(once(stream, 'data'), 'an echo'))[0]), 'still there')
    stream.destroy()
    await Promise.all([connector.close(), copy.close()])
  })

  it('that was not kept changes nothing: the certificate before stays good, and the next try succeeds', async (t) => {
    const { first, effects, keeper, file, renewed } = await fileOf(t, 'crash')
    const failed = Promise.withResolvers<string>()
    let writes = 0
    const broken: CredentialsKeeper = {
      ...keeper,
      async write(credentials) {
        // The first write is the trial with what is there already.
        if (++writes === 2) throw new TunnelError('DISK', 'full')
        await keeper.write(credentials)
      },
    }
    const connector = await kit.connect(first, {
      ...{ effects, keeper: broken },
      onRenewalFailed: ({ code }) => failed.resolve(code),
    })
    effects.jump(LATE_MS)
    assert.equal(await within(failed.promise, 'the failure'), 'DISK')
    assert.equal((await file.read()).certificate, first.certificate)
    assert.equal(await knock(first), 'let in')
    // The next try comes some time later.
    effects.jump(3_600_000)
    await within(renewed, 'the renewal')
    await connector.close()
  })

  it('is not asked for where it could not be kept', async (t) => {
    const { first, effects, keeper } = await fileOf(t, 'read-only')
    const failed = Promise.withResolvers<string>()
    const write = () => Promise.reject(new TunnelError('PERMISSIONS', 'read-only'))
    const connector = await kit.connect(first, {
      ...{ effects, keeper: { ...keeper, write } },
      onRenewalFailed: ({ code }) => failed.resolve(code),
    })
    effects.jump(LATE_MS)
    assert.equal(await within(failed.promise, 'the failure'), 'PERMISSIONS')
    const [live] = sessionsOf('read-only')
    assert.ok(live)
    const known = await kit.relay.authority.store.findConnector('default', live.principal.id)
    assert.deepEqual([known?.serial, known?.previousSerial], [live.principal.serial, undefined])
    await connector.close()
  })

  it('by one process is taken over by another that shares the file', async (t) => {
    const { first, effects, keeper, file, renewed } = await fileOf(t, 'shared')
    const one = await kit.connect(first, { effects, keeper })
    let ups = 0
    const other = await kit.connect(first, { keeper: file, onUp: () => ups++ })
    effects.jump(LATE_MS)
    await within(renewed, 'the renewal')
    await eventually(() => ups === 2, 'the other with the next certificate')
    await eventually(() => sessionsOf('shared').length === 2, 'both')
    assert.equal(new Set(sessionsOf('shared').map(({ principal }) => principal.serial)).size, 1)
    await Promise.all([one.close(), other.close()])
  })

  it('waits for another process that renews, and not for one that died in it', async (t) => {
    const { file, path } = await fileOf(t, 'locked')
    const release = Promise.withResolvers<void>()
    const first = file.alone(() => release.promise)
    await eventually(
      () =>
        stat(`${path}.lock`).then(
          () => true,
          () => false,
        ),
      'the lock',
    )
    await assert.rejects(
      file.alone(async () => undefined),
      { code: 'CONFLICT' },
    )
    const later = credentialsFile(path, { date: () => realEffects.date() + 121_000 })
    assert.equal(await later.alone(async () => 'mine'), 'mine')
    release.resolve()
    await first
  })

  it('is refused to who was revoked', async (t) => {
    const { first, effects, keeper, file } = await fileOf(t, 'gone')
    const failed = Promise.withResolvers<string>()
    const connector = await kit.connect(first, {
      effects,
      keeper,
      onRenewalFailed: ({ code }) => failed.resolve(code),
    })
    await kit.command('connector.revoke', { tenant: 'default', environment: 'production', connector: 'gone' })
    effects.jump(LATE_MS)
    assert.equal(await within(failed.promise, 'the failure'), 'REVOKED')
    assert.equal((await file.read()).certificate, first.certificate)
    await connector.close()
  })
})
