import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { STAGGER_MS } from '../../../agent/dial/connect.ts'
import { type DialOptions, dialTarget } from '../../../agent/dial/dial.ts'
import type { Resolver } from '../../../agent/dial/resolve.ts'
import { isTunnelError, TunnelError } from '../../../shared/errors.ts'
import { rule } from '../../shared/policy/rule-kit.ts'
import { type FakeClock, fakeClock } from './fake-clock.ts'

const NOWHERE = { own: new Set<string>(), relay: new Set<string>() }
const HERE = { host: { kind: 'name', text: 'db.test' }, allowLoopback: true } as const

const failure =
  (code: string, detail = /./) =>
  (err: unknown) => {
    assert.ok(isTunnelError(err), String(err))
    assert.equal(err.code, code)
    assert.match(err.detail, detail)
    return true
  }

async function listen(t: TestContext, host = '127.0.0.1', port = 0): Promise<Server & { port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    t.after(() => socket.destroy())
  })
  server.listen(port, host)
  await once(server, 'listening')
  t.after(() => server.close())
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}

/** A port on which nobody listens. */
async function closedPort(t: TestContext): Promise<number> {
  const server = await listen(t)
  server.close()
  await once(server, 'close')
  return server.port
}

/** A resolver that gives each answer once, in order, and counts. */
function answers(...lists: string[][]): Resolver & { asked: string[]; forgotten: string[] } {
  const asked: string[] = []
  const forgotten: string[] = []
  return {
    asked,
    forgotten,
    resolve: async (host) => {
      asked.push(host)
      return lists.shift() ?? assert.fail('asked once too often')
    },
    forget: (host) => void forgotten.push(host),
  }
}

function dialer(resolver: Resolver, parts: Partial<DialOptions> = {}): DialOptions & { effects: FakeClock } {
  const { signal } = new AbortController()
  return { signal, deadlineMs: 10_000, resolver, context: NOWHERE, ...parts, effects: fakeClock() }
}

test('a target is reached, with half-close, and no listener or timer of the dial is left', async (t) => {
  const server = await listen(t)
  const resolver = answers(['127.0.0.1'])
  const options = dialer(resolver)
  const socket = await dialTarget(rule({ ...HERE, port: server.port }), options)
  t.after(() => socket.destroy())
  assert.equal(socket.remoteAddress, '127.0.0.1')
  assert.equal(socket.allowHalfOpen, true)
  assert.equal(socket.listenerCount('error'), 0)
  assert.equal(socket.listenerCount('connect'), 0)
  assert.equal(options.effects.pending(), 0)
  assert.deepEqual(resolver.forgotten, [])
})

test('a literal is never resolved', async (t) => {
  const server = await listen(t)
  const host = { kind: 'ip', text: '127.0.0.1' } as const
  const socket = await dialTarget(rule({ ...HERE, host, port: server.port }), dialer(answers()))
  socket.destroy()
})

test('a name that is rebound after the check is never asked again', async (t) => {
  const server = await listen(t)
  const resolver = answers(['127.0.0.1'], ['169.254.169.254'])
  const socket = await dialTarget(rule({ ...HERE, port: server.port }), dialer(resolver))
  socket.destroy()
  assert.deepEqual(resolver.asked, ['db.test'])
})

test('of mixed answers only those that policy allows are dialled', async (t) => {
  const server = await listen(t)
  const dialled: unknown[] = []
  const socket = await dialTarget(
    rule({ ...HERE, port: server.port }),
    dialer(answers(['169.254.169.254', '0.0.0.0', 'junk', '::ffff:127.0.0.1', '224.0.0.1']), {
      connect: (options) => {
        dialled.push('host' in options && options.host)
        return connect(options)
      },
    }),
  )
  socket.destroy()
  assert.deepEqual(dialled, ['127.0.0.1'])
})

test('where no answer is allowed nothing is dialled and the reason names the word', async () => {
  const options = dialer(answers(['127.0.0.1', '64:ff9b::7f00:1']), { connect: () => assert.fail('dialled') })
  await assert.rejects(dialTarget(rule(), options), failure('DENIED_BY_SITE', /allow_loopback = true/))
  const own = dialer(answers(['10.0.0.1']), {
    connect: () => assert.fail('dialled'),
    context: { own: new Set(['10.0.0.1']), relay: new Set() },
  })
  await assert.rejects(dialTarget(rule(), own), failure('DENIED_BY_SITE', /address of this host/))
  assert.equal(own.effects.pending(), 0)
})

test('a refused connection is CONNECTION_REFUSED and drops the cached answer', async (t) => {
  const resolver = answers(['127.0.0.1'])
  const port = await closedPort(t)
  await assert.rejects(
    dialTarget(rule({ ...HERE, port }), dialer(resolver)),
    failure('CONNECTION_REFUSED', /127\.0\.0\.1:\d+: ECONNREFUSED/),
  )
  assert.deepEqual(resolver.forgotten, ['db.test'])
})

test('a refusal leads to the next address at once', async (t) => {
  const server = await listen(t, '127.0.0.2')
  const options = dialer(answers(['127.0.0.1', '127.0.0.2']))
  const socket = await dialTarget(rule({ ...HERE, port: server.port }), options)
  t.after(() => socket.destroy())
  assert.equal(socket.remoteAddress, '127.0.0.2')
  assert.equal(options.effects.pending(), 0)
})

/** Connects nowhere for 127.0.0.1, as a black hole does, and really for all else. */
function blackHole(made: Socket[]): NonNullable<DialOptions['connect']> {
  return (options) => {
    const isHole = 'host' in options && options.host === '127.0.0.1'
    const socket = isHole ? new Socket() : connect(options)
    made.push(socket)
    return socket
  }
}

test('a silent first address holds up the second only for the stagger, and is closed', async (t) => {
  const server = await listen(t, '127.0.0.2')
  const made: Socket[] = []
  const options = dialer(answers(['127.0.0.1', '127.0.0.2']), { connect: blackHole(made) })
  const dial = dialTarget(rule({ ...HERE, port: server.port }), options)
  await options.effects.advance(STAGGER_MS - 1)
  assert.equal(made.length, 1)
  await options.effects.advance(1)
  const socket = await dial
  t.after(() => socket.destroy())
  assert.equal(made.length, 2)
  assert.equal(made[0]?.destroyed, true)
  assert.equal(options.effects.pending(), 0)
})

test('a target that stays silent is CONNECT_TIMEOUT at the deadline', async () => {
  const made: Socket[] = []
  const options = dialer(answers(['127.0.0.1']), { connect: blackHole(made) })
  const dial = assert.rejects(dialTarget(rule(HERE), options), failure('CONNECT_TIMEOUT', /10000 ms/))
  await options.effects.advance(10_000)
  await dial
  assert.equal(made[0]?.destroyed, true)
  assert.equal(options.effects.pending(), 0)
})

test('a resolver that stays silent is DNS at the deadline', async () => {
  const options = dialer({
    resolve: (_host, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      ),
    forget: () => {},
  })
  const dial = assert.rejects(dialTarget(rule(HERE), options), failure('DNS'))
  await options.effects.advance(10_000)
  await dial
})

test('giving up closes the socket under way and leaves no timer', async () => {
  const made: Socket[] = []
  const abort = new AbortController()
  const options = dialer(answers(['127.0.0.1', '127.0.0.1']), {
    connect: blackHole(made),
    signal: abort.signal,
  })
  const dial = assert.rejects(dialTarget(rule(HERE), options), failure('IDLE'))
  await options.effects.advance(0)
  abort.abort(new TunnelError('IDLE', 'why'))
  await dial
  assert.equal(made[0]?.destroyed, true)
  assert.equal(options.effects.pending(), 0)
})

test('a dial that was given up before it began asks nobody', async () => {
  const options = dialer(answers(), { signal: AbortSignal.abort() })
  await assert.rejects(dialTarget(rule(HERE), options), failure('CANCELLED', /^$/))
})

test('a socket that is connected elsewhere is not handed out', async (t) => {
  const server = await listen(t, '127.0.0.2')
  const made: Socket[] = []
  const options = dialer(answers(['127.0.0.1']), {
    connect: () => {
      const socket = connect({ host: '127.0.0.2', port: server.port })
      made.push(socket)
      return socket
    },
  })
  await assert.rejects(
    dialTarget(rule({ ...HERE, port: server.port }), options),
    failure('DENIED_BY_SITE', /connected to 127\.0\.0\.2/),
  )
  assert.equal(made[0]?.destroyed, true)
})

test('a socket that connected to itself counts as refused', async (t) => {
  const port = await closedPort(t)
  const options = dialer(answers(['127.0.0.1']), {
    connect: () => connect({ host: '127.0.0.1', port, localPort: port }),
  })
  await assert.rejects(
    dialTarget(rule({ ...HERE, port }), options),
    failure('CONNECTION_REFUSED', /nobody listens/),
  )
})

const errnos: [string, string][] = [
  ['ECONNREFUSED', 'CONNECTION_REFUSED'],
  ['ETIMEDOUT', 'CONNECT_TIMEOUT'],
  ['EHOSTUNREACH', 'UNREACHABLE'],
  ['ENETUNREACH', 'UNREACHABLE'],
  ['EPERM', 'UNREACHABLE'],
  ['EMFILE', 'OVERLOADED'],
  ['ESOMETHING', 'UNREACHABLE'],
]

/** Fails for each address with the next errno. */
function failing(...codes: string[]): NonNullable<DialOptions['connect']> {
  return () => {
    const socket = new Socket()
    const code = codes.shift()
    setImmediate(() => socket.destroy(Object.assign(new Error(code), { code })))
    return socket
  }
}

test('each errno has its code', async () => {
  for (const [errno, code] of errnos) {
    const options = dialer(answers(['127.0.0.1']), { connect: failing(errno) })
    await assert.rejects(dialTarget(rule(HERE), options), failure(code, new RegExp(errno)))
  }
})

test('of several failures the one that tells most is reported', async () => {
  const options = dialer(answers(['127.0.0.1', '127.0.0.2', '127.0.0.3']), {
    connect: failing('ENETUNREACH', 'ECONNREFUSED', 'ETIMEDOUT'),
  })
  await assert.rejects(dialTarget(rule(HERE), options), failure('CONNECTION_REFUSED', /127\.0\.0\.2/))
})

test('a caller without a read buffer fails the dial cleanly', async () => {
  const options = dialer(answers(['127.0.0.1']), {
    socketOptions: () => {
      throw new TunnelError('OVERLOADED', 'no block left')
    },
  })
  await assert.rejects(dialTarget(rule(HERE), options), failure('OVERLOADED'))
  assert.equal(options.effects.pending(), 0)
})

test("the caller's read buffer receives what the target says", async (t) => {
  const server = await listen(t)
  server.on('connection', (socket) => socket.end('hello'))
  const buffer = Buffer.alloc(64)
  const heard = Promise.withResolvers<string>()
  const callback = (length: number) => {
    heard.resolve(buffer.toString('latin1', 0, length))
    return true
  }
  const options = dialer(answers(['127.0.0.1']), { socketOptions: () => ({ onread: { buffer, callback } }) })
  const socket = await dialTarget(rule({ ...HERE, port: server.port }), options)
  t.after(() => socket.destroy())
  assert.equal(await heard.promise, 'hello')
})
