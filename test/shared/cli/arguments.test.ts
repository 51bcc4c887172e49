import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration } from '../../../shared/cli/duration.ts'
import { formatListenAddress, parseListenAddress } from '../../../shared/cli/listen-address.ts'
import { readSecret } from '../../../shared/cli/secret-input.ts'

const never = new AbortController().signal

describe('a duration', () => {
  it('is a whole number with a unit', () => {
    assert.equal(parseDuration('250ms'), 250)
    assert.equal(parseDuration('90s'), 90_000)
    assert.equal(parseDuration('15m'), 900_000)
    assert.equal(parseDuration('2h'), 7_200_000)
    assert.equal(parseDuration('7d'), 604_800_000)
  })

  it('of any other form is a usage error', () => {
    for (const text of [
      '',
      '15',
      'm',
      '1.5h',
      '-1s',
      '1e3s',
      '15M',
      ' 15m',
      '15 m',
      '1h30m',
      '9999999999s',
      '١s',
    ]) {
      assert.throws(() => parseDuration(text), { code: 'USAGE' }, text)
    }
  })

  it('outside its limits is a usage error that names them', () => {
    const limits = { minMs: 120_000, maxMs: 86_400_000 }
    assert.equal(parseDuration('2m', limits), 120_000)
    assert.throws(() => parseDuration('1m', limits), {
      code: 'USAGE',
      detail: '1m is not between 2m and 1d.',
    })
    assert.throws(() => parseDuration('2d', limits), { code: 'USAGE' })
    assert.throws(() => parseDuration('0s'), { code: 'USAGE' })
  })

  it('read from its own text is the same', () => {
    const durations = fc.integer({ min: 1, max: 999_999_999 })
    fc.assert(fc.property(durations, (ms) => parseDuration(formatDuration(ms)) === ms))
    assert.equal(formatDuration(900_000), '15m')
  })
})

describe('an address to listen on', () => {
  it('is a host and a port', () => {
    assert.deepEqual(parseListenAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
    assert.deepEqual(parseListenAddress('localhost:65535'), { host: 'localhost', port: 65_535 })
    assert.deepEqual(parseListenAddress('[::1]:5432'), { host: '::1', port: 5432 })
  })

  it('is written as it is read', () => {
    for (const text of ['127.0.0.1:0', 'relay.example.com:443', '[fe80::1]:80']) {
      assert.equal(formatListenAddress(parseListenAddress(text)), text)
    }
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
