import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import tls from 'node:tls'
import { join } from '../../agent/enrollment.ts'
import { type CertificateAuthority, createAuthority } from '../../relay/authority/certificate-authority.ts'
import { ensureServerCertificate } from '../../relay/authority/server-certificate.ts'
import { realEffects } from '../../shared/effects.ts'
import { isTunnelError, type TunnelError } from '../../shared/errors.ts'
import { fingerprint } from '../../shared/identity/keys.ts'
import { isServerName } from '../../shared/identity/relay-address.ts'
import { dialRelay } from '../../shared/tunnel/dial-relay.ts'
import { joinOptions, startKit } from '../support/relay-kit.ts'

/** Who stands in the place of the relay, and what it came to read after TLS. */
interface Impostor {
  readonly port: number
  /** Bytes that were sent to it inside of TLS. */
  readonly heard: () => string
}

interface Disguise {
  readonly name: string
  readonly authority: CertificateAuthority
  readonly maxVersion?: tls.SecureVersion
  /** What it answers to the head of a request. */
  readonly answer?: string
}

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(joinPath(tmpdir(), 'sallyport-impostor-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function impostor(t: TestContext, disguise: Disguise): Promise<Impostor> {
  const { authority, name } = disguise
  const serving = await ensureServerCertificate(
    joinPath(await scratch(t), 'tls'),
    authority,
    [name],
    realEffects,
  )
  const heard: Buffer[] = []
  const server = tls.createServer(
    {
      ...{ key: serving.key.reveal(), cert: serving.chain, ALPNProtocols: ['http/1.1'] },
      ...(disguise.maxVersion === undefined ? {} : { maxVersion: disguise.maxVersion }),
    },
    (socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        heard.push(chunk)
        if (disguise.answer !== undefined && String(chunk).includes('\r\n\r\n')) socket.end(disguise.answer)
      })
    },
  )
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => Buffer.concat(heard).toString('latin1'),
  }
}

async function refusal(work: Promise<unknown>): Promise<TunnelError> {
  const outcome = await work.then(
    () => assert.fail('it was believed'),
    (error: unknown) => error,
  )
  assert.ok(isTunnelError(outcome), String(outcome))
  return outcome
}

/** Somebody else's CA; it vouches for any name. */
async function otherAuthority(t: TestContext): Promise<CertificateAuthority> {
  return createAuthority(joinPath(await scratch(t), 'ca'), realEffects)
}

const RELAY = 'relay.example.test'

describe('S17: who stands in the place of the relay', () => {
  it('is not believed by an agent that joins, under the right name from another CA, and is told nothing', async (t) => {
    await using kit = await startKit()
    const authority = await otherAuthority(t)
    const { port, heard } = await impostor(t, { name: '127.0.0.1', authority })
    const text = await kit.joinString('berlin', { address: { host: '127.0.0.1', port } })
    const error = await refusal(join(text, joinPath(await scratch(t), 'agent'), joinOptions()))
    assert.equal(error.code, 'RELAY_IDENTITY')
    assert.ok(error.detail.includes(fingerprint(authority.certificate)), 'names the issuer by its key')
    assert.equal(heard(), '')
  })

  it('is not believed where it shows the true CA beside its own certificate', async (t) => {
    await using kit = await startKit()
    const own = await otherAuthority(t)
    const { certificate } = kit.relay.authority.authority
    // The chain holds the CA that is pinned; the key of the leaf was certified by somebody else.
    const { port, heard } = await impostor(t, { name: '127.0.0.1', authority: { ...own, certificate } })
    const text = await kit.joinString('berlin', { address: { host: '127.0.0.1', port } })
    const error = await refusal(join(text, joinPath(await scratch(t), 'agent'), joinOptions()))
    assert.equal(error.code, 'RELAY_IDENTITY')
    assert.equal(heard(), '')
  })

  /** Names that the relay's CA certified for something else, or that look like the relay's. */
  const NAMES = ['other.example.test', 'relay.example.test.evil.test', 'example.test', '127.0.0.1']

  for (const name of NAMES) {
    it(`is not believed as ${RELAY} with the certificate of ${name} from the right CA`, async (t) => {
      await using kit = await startKit()
      const credentials = await kit.credentials('dev', 'berlin/db')
      const { port, heard } = await impostor(t, { name, authority: kit.relay.authority.authority })
      const identity = { ...credentials, serverName: RELAY }
      const address = { host: '127.0.0.1', port }
      const error = await refusal(dialRelay(address, '/v1/connector', identity, AbortSignal.timeout(10_000)))
      assert.equal(error.code, 'RELAY_IDENTITY')
      assert.equal(heard(), '')
    })
  }

  it('has no other form of the name to try: dots, widths and letters of other scripts are no names', () => {
    for (const name of [
      ...['relay。example', 'relay．example', 'rеlay.example', 'relay.example\0.evil', 'relay..example'],
      ...['*.example', '.example', 'relay.example/', 'relay.example@evil', '0x7f.1', '２130706433'],
    ]) {
      assert.equal(isServerName(name), false, name)
    }
    assert.equal(isServerName(RELAY), true)
  })
})

describe('S16: who lowers what is agreed on', () => {
  it('gets no further than TLS where it speaks 1.2 at most, also with the right certificate', async (t) => {
    await using kit = await startKit()
    const credentials = await kit.credentials('dev', 'berlin/db')
    const { authority } = kit.relay.authority
    const { port, heard } = await impostor(t, { name: '127.0.0.1', authority, maxVersion: 'TLSv1.2' })
    const address = { host: '127.0.0.1', port }
    await refusal(dialRelay(address, '/v1/connector', credentials, AbortSignal.timeout(10_000)))
    assert.equal(heard(), '')
  })

  /** Answers to the upgrade that are not the one that was asked for. The key is that of RFC 6455, so its accept is wrong too. */
  const ANSWERS: Readonly<Record<string, string>> = {
    'an older subprotocol':
      'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: sallyport.0\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
    'no subprotocol':
      'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
    'a redirect': 'HTTP/1.1 302 x\r\nLocation: https://127.0.0.1:1/v1/connector\r\nContent-Length: 0\r\n\r\n',
    'a plain page': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
    'an upgrade to something else': 'HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
  }

  for (const [what, answer] of Object.entries(ANSWERS)) {
    it(`is left where it answers ${what}`, async (t) => {
      await using kit = await startKit()
      const credentials = await kit.credentials('dev', 'berlin/db')
      const { authority } = kit.relay.authority
      const { port, heard } = await impostor(t, { name: '127.0.0.1', authority, answer })
      const address = { host: '127.0.0.1', port }
      const error = await refusal(
        dialRelay(address, '/v1/connector', credentials, AbortSignal.timeout(10_000)),
      )
      assert.equal(error.code, 'RELAY_UNREACHABLE')
      assert.match(
        heard(),
        /^GET \/v1\/connector HTTP\/1\.1\r\n[\s\S]*Sec-WebSocket-Protocol: sallyport\.1\r\n/,
      )
      assert.equal(heard().indexOf('\r\n\r\n'), heard().length - 4, 'nothing behind the head')
    })
  }
})
