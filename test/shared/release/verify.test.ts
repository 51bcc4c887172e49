import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createOutput } from '../../../shared/cli/output.ts'
import { type ErrorCode, isTunnelError } from '../../../shared/errors.ts'
import { formatManifest, type Release } from '../../../shared/release/manifest.ts'
import { parseRoots, type Roots } from '../../../shared/release/roots.ts'
import { describeRunning, runningRelease } from '../../../shared/release/running.ts'
import { formatStatement, isStatedAtLeast, parseStatement } from '../../../shared/release/statement.ts'
import { type VerifyFlags, verifyFiles } from '../../../shared/release/verify-command.ts'
import { PRODUCT_VERSION } from '../../../shared/version.ts'
import { fakeTerminal } from '../../support/terminal.ts'
import {
  CONTENT,
  folder,
  HOLDERS,
  keyHolder,
  manifestText,
  NOW,
  release,
  roots,
  rootsText,
} from './release-fixture.ts'

const { signal } = new AbortController()
const [ada, ben, cleo] = HOLDERS

interface Case extends VerifyFlags {
  readonly text?: string
  readonly content?: Buffer
  readonly name?: string
  readonly now?: number
  readonly embedded?: Roots
}

/** Runs `verify` on a file beside a manifest; what it prints. */
async function verified(options: Case): Promise<string> {
  const { text = manifestText(release()), content = CONTENT, name = 'agent.deb' } = options
  await using files = await folder({ [name]: content, 'release.json': text, 'keys.json': rootsText() })
  const terminal = fakeTerminal()
  const output = createOutput({ ...terminal, json: false })
  const keys = options.embedded === undefined ? { keys: options.keys ?? files.path('keys.json') } : {}
  await verifyFiles({
    ...options,
    ...keys,
    embedded: options.embedded,
    files: [files.path(name)],
    signal,
    output,
    effects: { date: () => options.now ?? NOW },
  })
  return terminal.out()
}

async function refused(code: ErrorCode, detail: RegExp, options: Case): Promise<void> {
  await assert.rejects(verified(options), (error) => {
    assert.ok(isTunnelError(error), String(error))
    assert.equal(error.code, code)
    assert.match(error.message, detail)
    assert.notEqual(error.next, '')
    return true
  })
}

describe('sallyport verify', () => {
  it('says what a file is that two of three keys have signed', async () => {
    const out = await verified({})
    assert.match(out, /agent\.deb is agent\.deb of release 1\.2\.0, channel stable/)
    assert.match(out, /signed by 2 of 3 release keys, good until 2027-06-01T00:00:00Z/)
  })

  it('knows an installed file by its content where it has another name', async () => {
    assert.match(await verified({ name: 'sallyport' }), /sallyport is agent\.deb of release 1\.2\.0/)
  })

  it('S35: refuses one signature of three', () =>
    refused('RELEASE_SIGNATURES', /1 of 3 keys signed it, 2 must/, { text: manifestText(release(), [ada]) }))

  it('S35: counts a key that signed twice once', () =>
    refused('RELEASE_SIGNATURES', /1 of 3/, { text: manifestText(release(), [ada, ada]) }))

  it('does not count a signature under the name of another key', () => {
    const signed = release()
    const forged = { key: ben.id, signature: ada.sign(signed).signature }
    return refused('RELEASE_SIGNATURES', /1 of 3/, {
      text: formatManifest({ signed, signatures: [ada.sign(signed), forged] }),
    })
  })

  it('does not count keys of strangers, and needs none of them to be silent', async () => {
    const strangers = [keyHolder(), keyHolder()]
    await refused('RELEASE_SIGNATURES', /0 of 3/, { text: manifestText(release(), strangers) })
    assert.match(await verified({ text: manifestText(release(), [...strangers, ben, cleo]) }), /2 of 3/)
  })

  it('does not count signatures of another release', () => {
    const signed = release()
    const older = release({ version: '1.1.0' })
    return refused('RELEASE_SIGNATURES', /0 of 3/, {
      text: formatManifest({ signed, signatures: [ada.sign(older), ben.sign(older)] }),
    })
  })

  it('S35: refuses another channel, signed by the right keys or not', async () => {
    const beta = release({ channel: 'beta' })
    await refused('RELEASE_CHANNEL', /for beta; here it is stable/, { text: manifestText(beta) })
    await refused('RELEASE_SIGNATURES', /calls itself beta/, { text: manifestText(beta, [keyHolder()]) })
  })

  it('S35: refuses a manifest from the second on at which it expires', async () => {
    const expires = Date.parse(release().expires)
    await verified({ now: expires - 1 })
    await refused('RELEASE_EXPIRED', /good until 2027/, { now: expires })
  })

  it('S35: refuses a release below the floor, and one below its own minimum', async () => {
    await verified({ floor: '1.2.0' })
    await refused('RELEASE_OLD', /1\.2\.1 is the oldest/, { floor: '1.2.1' })
    await refused('RELEASE_MANIFEST', /minimum/, { text: manifestText(release({ minimum: '1.3.0' })) })
  })

  it('takes its own version as the floor where keys are built in', async () => {
    await verified({
      text: manifestText(release({ version: PRODUCT_VERSION, minimum: PRODUCT_VERSION })),
      embedded: roots(),
    })
    const old = manifestText(release({ version: '0.0.9', minimum: '0.0.1' }))
    await refused('RELEASE_OLD', /0\.0\.9/, { text: old, embedded: roots() })
    await verified({ text: old, embedded: roots(), floor: '0.0.9' })
  })

  it('S35: refuses a file that is cut off, too long, changed or unknown', async () => {
    await refused('RELEASE_FILE', /cut off: 14 bytes instead of 15/, { content: CONTENT.subarray(1) })
    await refused('RELEASE_FILE', /too long: 16/, {
      content: Buffer.concat([CONTENT, CONTENT.subarray(0, 1)]),
    })
    await refused('RELEASE_FILE', /was changed/, { content: Buffer.from(CONTENT).fill(0, 3, 4) })
    await refused('RELEASE_FILE', /no file of release/, { name: 'other', content: Buffer.from('x') })
    await refused('RELEASE_FILE', /no file of release/, { name: 'other', content: Buffer.alloc(99) })
  })

  it('names the file of keys, or asks for one', async () => {
    await assert.rejects(
      verifyFiles({
        files: ['x'],
        signal,
        output: createOutput({ ...fakeTerminal(), json: false }),
        embedded: undefined,
      }),
      /--keys FILE/,
    )
    await refused('CONFIG', /cannot be read/, { keys: '/nonexistent/keys.json' })
  })
})

describe('release keys', () => {
  it('are two or more, each another one, and Ed25519', () => {
    const bad = [
      rootsText(HOLDERS, 'stable', 1),
      rootsText([ada, ada]),
      rootsText([ada, ben], 'stable', 3),
      rootsText(HOLDERS, 'Stable'),
      rootsText().replace(/MCowBQYDK2Vw/, 'MCowBQYDK2Vu'),
      '{}',
      'keys',
    ]
    for (const text of bad) {
      assert.throws(
        () => parseRoots(text),
        (error) => isTunnelError(error) && error.code === 'CONFIG',
        text,
      )
    }
  })
})

describe('what runs', () => {
  const own = (change: Partial<Release> = {}) =>
    release({ version: PRODUCT_VERSION, minimum: PRODUCT_VERSION, ...change })

  async function running(text: string | undefined, content = CONTENT) {
    await using files = await folder({
      sallyport: content,
      ...(text === undefined ? {} : { 'release.json': text }),
    })
    return await runningRelease(signal, { executable: files.path('sallyport'), roots: roots() })
  }

  it('is a signed release where the manifest beside it names its content', async () => {
    const found = await running(manifestText(own()))
    assert.deepEqual(found, {
      isSigned: true,
      channel: 'stable',
      version: PRODUCT_VERSION,
      expires: own().expires,
    })
    assert.equal(describeRunning(found), `release ${PRODUCT_VERSION} of channel stable, signed`)
  })

  it('is unsigned, with the reason, in every other case', async () => {
    const reasons: [Parameters<typeof running>, RegExp][] = [
      [[undefined], /RELEASE_MANIFEST.*cannot be read/],
      [[manifestText(own(), [ada])], /RELEASE_SIGNATURES/],
      [[manifestText(own()), Buffer.from('another file')], /RELEASE_FILE/],
      [[manifestText(own({ version: '99.0.0' }))], /is for 99\.0\.0/],
    ]
    for (const [args, reason] of reasons) {
      const found = await running(...args)
      assert.match(found.isSigned ? '' : found.reason, reason)
    }
    const development = await runningRelease(signal)
    assert.equal(describeRunning(development), `version ${PRODUCT_VERSION}, development build, unsigned`)
  })
})

describe('the statement of a release', () => {
  it('satisfies a relay by its channel and by a version that is not older', () => {
    const required = parseStatement('stable/1.2.0')
    assert.equal(formatStatement(required), 'stable/1.2.0')
    for (const stated of ['stable/1.2.0', 'stable/1.10.0']) assert.ok(isStatedAtLeast(stated, required))
    for (const stated of [
      undefined,
      '',
      'stable/1.1.9',
      'stable/1.2.0-rc.1',
      'beta/2.0.0',
      'stable/x',
      'stable',
    ]) {
      assert.equal(isStatedAtLeast(stated, required), false, stated)
    }
    for (const text of ['1.2.0', 'stable/', 'Stable/1.2.0', 'stable/1.2']) {
      assert.throws(() => parseStatement(text), /CHANNEL\/VERSION/)
    }
  })

  it('fits into HELLO at its longest', () => {
    const longest = { channel: 'a'.repeat(32), version: '999999.999999.999999-aaaaaaaaaa' }
    assert.equal(parseStatement(formatStatement(longest)).version.length, 31)
    assert.equal(formatStatement(longest).length, 64)
  })
})
