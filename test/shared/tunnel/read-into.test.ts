import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import tls from 'node:tls'
import { createAuthority } from '../../../relay/authority/certificate-authority.ts'
import { ensureServerCertificate } from '../../../relay/authority/server-certificate.ts'
import { realEffects } from '../../../shared/effects.ts'
import { readInto } from '../../../shared/tunnel/read-into.ts'
import { within } from '../../support/deadline.ts'

interface Pair {
  readonly accepted: net.Socket
  readonly client: net.Socket
}

async function connect(
  t: TestContext,
  server: net.Server,
  event: string,
  dial: (port: number) => net.Socket,
) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = dial(port)
  const [accepted] = (await within(once(server, event), 'the connection')) as [net.Socket]
  t.after(() => {
    for (const socket of [client, accepted]) socket.destroy()
    server.close()
  })
  return { accepted, client }
}

function overTcp(t: TestContext): Promise<Pair> {
  const server = net.createServer({ pauseOnConnect: true })
  return connect(t, server, 'connection', (port) => net.connect(port, '127.0.0.1'))
}

async function overTls(t: TestContext): Promise<Pair> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-read-'))
  t.after(() => rm(directory, { recursive: true }))
  const authority = await createAuthority(join(directory, 'ca'), realEffects)
  const serving = await ensureServerCertificate(join(directory, 'tls'), authority, ['127.0.0.1'], realEffects)
  const server = tls.createServer({ key: serving.key.reveal(), cert: serving.chain })
  return connect(t, server, 'secureConnection', (port) =>
    tls.connect({ host: '127.0.0.1', port, ca: authority.certificate.toString() }),
  )
}

/** Reads `socket` into `landing`; resolves with the first `length` bytes that came so. */
function landed(socket: net.Socket, landing: Uint8Array, length: number): Promise<string> {
  const parts: Buffer[] = []
  let has = 0
  const all = new Promise<string>((resolve) => {
    const isOurs = readInto(socket, landing, (bytes) => {
      assert.equal(bytes.buffer, landing.buffer)
      parts.push(Buffer.copyBytesFrom(bytes))
      has += bytes.length
      if (has >= length) resolve(String(Buffer.concat(parts)))
      return true
    })
    assert.ok(isOurs, 'this Node reads into memory of ours')
  })
  socket.resume()
  return within(all, `${length} bytes`)
}

describe('a socket that is open already', () => {
  it('is read into memory of ours, accepted or dialled, TCP or TLS', async (t) => {
    for (const pair of [await overTcp(t), await overTls(t)]) {
      const toClient = landed(pair.client, new Uint8Array(64), 300)
      const toServer = landed(pair.accepted, new Uint8Array(64), 300)
      pair.accepted.write('a'.repeat(300))
      pair.client.write('b'.repeat(300))
      assert.equal(await toClient, 'a'.repeat(300))
      assert.equal(await toServer, 'b'.repeat(300))
    }
  })

  it('stops reading when it is told so, until it is resumed', async (t) => {
    const { accepted, client } = await overTcp(t)
    let got = ''
    let onSome = () => {}
    readInto(accepted, new Uint8Array(4), (bytes) => {
      got += Buffer.from(bytes)
      onSome()
      return false
    })
    client.end('12345678')
    for (const wanted of ['1234', '12345678']) {
      const some = new Promise<void>((resolve) => {
        onSome = resolve
      })
      accepted.resume()
      await within(some, wanted)
      assert.equal(got, wanted)
    }
    accepted.resume()
    await within(once(accepted, 'end'), 'the end')
  })

  it('tells by data what Node had read before', async (t) => {
    const { accepted, client } = await overTcp(t)
    accepted.unshift(Buffer.from('first'))
    const before = within(once(accepted, 'data'), 'what was there')
    const then = landed(accepted, new Uint8Array(64), 6)
    client.write('second')
    assert.equal(String((await before)[0]), 'first')
    assert.equal(await then, 'second')
  })
})
