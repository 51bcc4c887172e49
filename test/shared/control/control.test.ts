import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { callControl } from '../../../shared/control/call.ts'
import { MAX_REQUEST_BYTES } from '../../../shared/control/message.ts'
import { controlPath } from '../../../shared/control/path.ts'
import { type ControlHandler, type ControlServer, serveControl } from '../../../shared/control/serve.ts'
import { TunnelError } from '../../../shared/errors.ts'

const never = new AbortController().signal

let directory = ''
let path = ''
const servers: ControlServer[] = []
const faults: unknown[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sallyport-test-'))
  path = controlPath(directory)
})

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
  faults.length = 0
  await rm(directory, { recursive: true })
})

async function serve(handlers: Record<string, ControlHandler>, at = path, signal = never) {
  const server = await serveControl(at, handlers, { signal, onFault: (error) => faults.push(error) })
  servers.push(server)
  return server
}

const call = (method: string, params: unknown = {}, at = path) =>
  callControl(at, method, params, { signal: never })

/** A request that our own client would not make. */
async function rawStatus(options: {
  method: string
  path: string
  body?: Buffer
  /** Declared, and never sent. */
  length?: number
}): Promise<number | undefined> {
  const asked = request({ socketPath: path, method: options.method, path: options.path, agent: false })
  if (options.length === undefined) asked.end(options.body)
  else asked.setHeader('content-length', options.length).flushHeaders()
  const [response] = await once(asked, 'response')
  response.resume()
  asked.destroy()
  return response.statusCode
}

describe('the control channel', () => {
  it('carries parameters there and results back', async () => {
    await serve({ echo: async (params) => ({ got: params }), nothing: async () => undefined })
    assert.deepEqual(await call('echo', { site: 'berlin', n: [1, null] }), {
      got: { site: 'berlin', n: [1, null] },
    })
    assert.equal(await call('nothing'), null)
  })

  it('carries a failure with its code, detail, leg and next step, but not its cause', async () => {
    await serve({
      revoke: () =>
        Promise.reject(
          new TunnelError('NOT_FOUND', 'No agent "paris".', {
            leg: 'local',
            next: 'x',
            cause: new Error('secret'),
          }),
        ),
    })
    await assert.rejects(call('revoke'), (error: TunnelError) => {
      assert.equal(error.code, 'NOT_FOUND')
      assert.equal(error.detail, 'No agent "paris".')
      assert.equal(error.leg, 'local')
      assert.equal(error.next, 'x')
      assert.equal(error.cause, undefined)
      return true
    })
    assert.deepEqual(faults, [])
  })

  it('hides what was not expected, and hands it to the log', async () => {
    await serve({ status: () => Promise.reject(new TypeError('x is undefined')) })
    await assert.rejects(call('status'), { code: 'INTERNAL', detail: '' })
    assert.match(String(faults[0]), /x is undefined/)
  })

  it('knows only the methods of its table', async () => {
    await serve({ status: async () => 1 })
    for (const method of ['stop', 'toString', '__proto__', 'constructor', '']) {
      await assert.rejects(call(method), { code: 'PROTOCOL' }, method)
    }
    assert.equal(await rawStatus({ method: 'GET', path: '/v1/status' }), 502)
    assert.equal(await rawStatus({ method: 'POST', path: '/v2/status', body: Buffer.from('{}') }), 502)
    assert.equal(await rawStatus({ method: 'POST', path: '/v1/status', body: Buffer.from('{') }), 502)
    assert.equal(await rawStatus({ method: 'POST', path: '/v1/status', body: Buffer.from('{}') }), 200)
  })

  it('tells the handler when the asker has gone', async () => {
    const asked = Promise.withResolvers<AbortSignal>()
    await serve({
      wait: (_params, signal) => {
        asked.resolve(signal)
        return new Promise(() => {})
      },
    })
    const controller = new AbortController()
    const calling = callControl(path, 'wait', {}, { signal: controller.signal })
    const signal = await asked.promise
    controller.abort(new TunnelError('CANCELLED'))
    await assert.rejects(calling, { code: 'CANCELLED' })
    if (!signal.aborted) await once(signal, 'abort')
  })

  it('gives up after its time, and says so', async () => {
    await serve({ wait: () => new Promise(() => {}) })
    const calling = callControl(path, 'wait', {}, { signal: never, timeoutMs: 20 })
    await assert.rejects(calling, { code: 'INTERNAL', detail: /did not answer within 20 ms/ })
  })
})

describe('limits of the control channel', () => {
  it('hold for what is asked', async () => {
    await serve({ echo: async (params) => params })
    await assert.rejects(call('echo', 'x'.repeat(MAX_REQUEST_BYTES)), { code: 'USAGE' })
    const declared = await rawStatus({ method: 'POST', path: '/v1/echo', length: MAX_REQUEST_BYTES + 1 })
    assert.equal(declared, 502)
    const longest = 'x'.repeat(MAX_REQUEST_BYTES - 2)
    assert.equal(await call('echo', longest), longest)
  })

  it('hold for what is answered', async () => {
    await serve({ much: async () => 'x'.repeat(8 * 1024 * 1024) })
    await assert.rejects(call('much'), { code: 'INTERNAL', detail: 'The answer is too long.' })
  })

  it('hold for an answer of a server that keeps none', async () => {
    const liar = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(9 * 1024 * 1024)}`))
    })
    await new Promise<void>((resolve) => liar.listen(path, resolve))
    await assert.rejects(call('status'), { code: 'PROTOCOL', detail: /longer than 8388608 bytes/ })
    liar.close()
  })

  it('take no answer of another form', async () => {
    for (const answer of ['{}', '{"error":{"code":"NEW"}}', '{"result":1,"error":1}', 'x', '']) {
      const stranger = createServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', () =>
          socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`),
        )
      })
      await new Promise<void>((resolve) => stranger.listen(path, resolve))
      await assert.rejects(call('status'), { code: 'PROTOCOL' }, answer)
      await new Promise((resolve) => stranger.close(resolve))
    }
  })
})

describe('the control socket', { skip: process.platform === 'win32' && 'named pipes have no mode' }, () => {
  it('S30: is private whatever the umask is', async () => {
    const umask = process.umask(0)
    try {
      await serve({})
    } finally {
      process.umask(umask)
    }
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  it('is not opened in a directory that others may enter, or that is none', async () => {
    await chmod(directory, 0o750)
    await assert.rejects(serve({}), { code: 'PERMISSIONS' })
    await writeFile(join(directory, 'file'), '')
    await assert.rejects(serve({}, controlPath(join(directory, 'file'))), { code: 'PERMISSIONS' })
    await assert.rejects(serve({}, controlPath(join(directory, 'none'))), { code: 'CONFIG' })
  })

  it('says that nothing runs where there is none', async () => {
    await assert.rejects(call('status'), { code: 'NOT_RUNNING' })
    await assert.rejects(call('status', {}, controlPath(join(directory, 'none'))), { code: 'NOT_RUNNING' })
  })

  it('of a living process is left alone', async () => {
    await serve({ who: async () => 'first' })
    await assert.rejects(serve({ who: async () => 'second' }), { code: 'LISTEN', detail: /already running/ })
    assert.equal(await call('who'), 'first')
  })

  it('of a process that died is replaced', async () => {
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    assert.deepEqual(await readdir(directory), ['control.sock'])
    await assert.rejects(call('who'), { code: 'NOT_RUNNING' })
    await serve({ who: async () => 'second' })
    assert.equal(await call('who'), 'second')
    assert.deepEqual(await readdir(directory), ['control.sock'])
  })

  it('goes when the channel closes, and when the signal aborts', async () => {
    const server = await serve({ wait: () => new Promise(() => {}) })
    const waiting = assert.rejects(call('wait'), { code: /DRAINING|NOT_RUNNING/ })
    await server.close()
    await waiting
    assert.deepEqual(await readdir(directory), [])
    const controller = new AbortController()
    const other = await serve({}, path, controller.signal)
    controller.abort()
    await other.close()
    assert.deepEqual(await readdir(directory), [])
  })

  it('works in a directory whose path is longer than a socket address', async () => {
    const deep = join(directory, 'a'.repeat(100), 'b'.repeat(100))
    await mkdir(deep, { recursive: true, mode: 0o700 })
    const server = await serve({ who: async () => 'deep' }, controlPath(deep))
    assert.equal(await call('who', {}, controlPath(deep)), 'deep')
    assert.equal((await stat(join(deep, 'control.sock'))).mode & 0o777, 0o600)
    await server.close()
    assert.deepEqual(await readdir(deep), [])
  })
})
