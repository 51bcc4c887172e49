import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { parseListenAddress } from '../../../shared/cli/listen-address.ts'
import { readSecret } from '../../../shared/cli/secret-input.ts'

const never = new AbortController().signal

describe('an address to listen on', () => {
  it('is a host and a port', () => {
    assert.deepEqual(parseListenAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
    assert.deepEqual(parseListenAddress('localhost:65535'), { host: 'localhost', port: 65_535 })
    assert.deepEqual(parseListenAddress('[::1]:5432'), { host: '::1', port: 5432 })
  })

  it('of any other form is a usage error', () => {
    const wrong = [
      '',
      '5432',
      ':5432',
      '*:80',
      '::1:80',
      '[::1]',
      '[127.0.0.1]:80',
      'a:65536',
      'a:08',
      'a:-1',
      'a:1.0',
    ]
    for (const text of [...wrong, 'a b:80', 'user@a:80', 'http://a:80', 'a\n:80', `${'a'.repeat(300)}:80`]) {
      assert.throws(() => parseListenAddress(text), { code: 'USAGE' }, text)
    }
  })
})

describe('a secret', () => {
  let directory = ''
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sallyport-test-'))
  })
  after(() => rm(directory, { recursive: true }))

  const read = (chunks: Buffer[], maxBytes?: number) =>
    readSecret('-', {
      stdin: Readable.from(chunks),
      signal: never,
      ...(maxBytes === undefined ? {} : { maxBytes }),
    })

  it('is read from standard input, and does not print', async () => {
    const secret = await read([Buffer.from('s3'), Buffer.from('same\r\n')])
    assert.equal(secret.reveal(), 's3same')
    assert.equal(`${secret}`, '[redacted]')
  })

  it('is read from a file', async () => {
    const path = join(directory, 'token')
    await writeFile(path, 'from-a-file\n')
    const secret = await readSecret(path, { stdin: Readable.from([]), signal: never })
    assert.equal(secret.reveal(), 'from-a-file')
  })

  it('that is empty, too long, no text or not there is a usage error', async () => {
    await assert.rejects(read([Buffer.from(' \n')]), { code: 'USAGE', detail: 'Nothing in standard input.' })
    await assert.rejects(read([Buffer.alloc(9, 65)], 8), { code: 'USAGE', detail: /More than 8 bytes/ })
    await assert.rejects(read([Buffer.from([0xff, 0xfe])]), { code: 'USAGE', detail: /not text/ })
    const missing = readSecret(join(directory, 'none'), { stdin: Readable.from([]), signal: never })
    await assert.rejects(missing, { code: 'USAGE', detail: /Cannot read/ })
  })

  it('is no longer waited for once the signal aborts', async () => {
    const controller = new AbortController()
    const reading = readSecret('-', { stdin: new PassThrough(), signal: controller.signal })
    controller.abort(new Error('enough'))
    await assert.rejects(reading, { message: 'enough' })
  })
})
