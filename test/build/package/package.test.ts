import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { readImportGraph } from '../../../build/import-graph.ts'
import { bundle, foreignModules } from '../../../build/package/bundle.ts'
import { systemVersion } from '../../../build/package/deb.ts'
import { EDITIONS, type Edition } from '../../../build/package/editions.ts'
import { fillTemplate } from '../../../build/package/linux-tree.ts'
import { readLockfile } from '../../../build/package/lockfile.ts'
import { manPage } from '../../../build/package/man-page.ts'
import { describeFiles, signRelease, withSignature } from '../../../build/package/manifest.ts'
import { makeSbom, uuidOf } from '../../../build/package/sbom.ts'
import { readSigning } from '../../../build/package/signing.ts'
import { writeTree } from '../../../build/package/tree.ts'
import { formatManifest, parseManifest } from '../../../shared/release/manifest.ts'
import { parseRoots } from '../../../shared/release/roots.ts'
import { checkSignatures } from '../../../shared/release/verify.ts'
import { folder, release } from '../../shared/release/release-fixture.ts'

const ROOT = join(import.meta.dirname, '../../..')
const EPOCH = 1_795_000_000
const [agent, relay] = EDITIONS as readonly [Edition, Edition]

describe('the bundle of the agent', () => {
  it('holds the agent and nothing of another role, twice the same', async () => {
    const one = await bundle(agent, ROOT)
    const paths = one.modules.map(({ path }) => path)
    assert.ok(paths.includes('agent/agent.ts') && paths.includes('node_modules/ws/lib/websocket.js'))
    assert.deepEqual(foreignModules(one.modules, agent.entry), [])
    assert.equal(one.code.includes(ROOT), false, 'names the directory of whoever built it')
    assert.equal((await bundle(agent, ROOT)).code, one.code)
  })

  it('is refused where it holds anything else', async () => {
    const spoilt = { ...agent, entry: relay.entry }
    await assert.rejects(bundle(spoilt, ROOT), /must not hold .*relay\/store\/store\.ts/)
    const module = (path: string) => ({ path, bytes: 1 })
    const foreign = ['relay/relay.ts', 'connector/index.ts', 'node_modules/kysely/dist/index.js', 'cli.ts']
    assert.deepEqual(foreignModules([module(agent.entry), ...foreign.map(module)], agent.entry), foreign)
    assert.deepEqual(foreignModules([module('node_modules/x/node_modules/pg/lib/index.js')], agent.entry), [
      'node_modules/x/node_modules/pg/lib/index.js',
    ])
  })
})

describe('what is shipped beside an executable', () => {
  const lockfile = readLockfile(ROOT)
  const options = { edition: agent, version: '1.2.0', node: '24.0.0', lockfile, epoch: EPOCH }

  it('has the hash of each package from the lockfile', () => {
    const bom = JSON.parse(
      makeSbom({ ...options, packages: ['node_modules/ws', 'node_modules/@peculiar/x509'] }),
    )
    assert.equal(bom.metadata.timestamp, '2026-11-18T11:06:40Z')
    assert.deepEqual(
      bom.components.map(({ purl }: { purl: string }) => purl),
      [
        'pkg:generic/node@24.0.0',
        `pkg:npm/ws@${lockfile.packages['node_modules/ws']?.version}`,
        `pkg:npm/%40peculiar/x509@${lockfile.packages['node_modules/@peculiar/x509']?.version}`,
      ],
    )
    assert.throws(() => makeSbom({ ...options, packages: ['node_modules/unknown'] }), /no version or hash/)
  })

  it('has a number that only another content changes', () => {
    assert.match(uuidOf('a'), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.equal(uuidOf('a'), uuidOf('a'))
    assert.notEqual(uuidOf('a'), uuidOf('b'))
  })

  it('has every command with its options on one page, whoever builds it', async () => {
    const page = await manPage({ edition: agent, root: ROOT, version: '1.2.0', epoch: EPOCH })
    assert.match(page, /^\.SS "sallyport agent allow NAME=HOST:PORT"$/m)
    assert.match(page, /^\.B \\-\\-allow\\-loopback$/m)
    assert.doesNotMatch(page, /\/root|\/home|var\/lib/)
    assert.doesNotMatch(page, /sallyport relay up/)
    assert.match(
      await manPage({ edition: relay, root: ROOT, version: '1.2.0', epoch: EPOCH }),
      /sallyport relay up/,
    )
  })
})

describe('the editions', () => {
  it('have every command of sallyport between them', () => {
    const graph = readImportGraph(ROOT)
    const commands = (entry: string) =>
      (graph.get(entry) ?? []).filter(({ kind }) => kind === 'lazy').map(({ target }) => target)
    const packaged = new Set(EDITIONS.flatMap(({ entry }) => commands(entry)))
    assert.deepEqual([...packaged].sort(), commands('cli.ts').sort())
  })
})

describe('a package', () => {
  it('orders a pre-release before its release, as dpkg and rpm see it', () => {
    assert.deepEqual(['1.0.0', '1.0.0-rc.1'].map(systemVersion), ['1.0.0', '1.0.0~rc.1'])
  })

  it('has scripts in which every word is known', () => {
    for (const edition of EDITIONS) {
      for (const name of ['postinst', 'prerm', 'postrm']) {
        const text = fillTemplate(readFileSync(join(ROOT, 'packaging/deb', name), 'utf8'), edition)
        assert.match(text, new RegExp(`sallyport-${edition.name}\\.service`))
        assert.doesNotMatch(text, /@[A-Z]/)
      }
    }
    assert.throws(() => fillTemplate('@UNHEARD_OF@', agent), /nothing is known for @UNHEARD_OF@/)
  })

  it('is laid out with one time and the modes that it says', async () => {
    await using files = await folder({ program: 'x' })
    const tree = files.path('tree')
    await writeTree(
      tree,
      [
        { path: 'bin/x', from: files.path('program'), mode: 0o755 },
        { path: 'etc/y', content: 'y' },
      ],
      EPOCH,
    )
    const { mode, mtimeMs } = await stat(join(tree, 'bin/x'))
    assert.deepEqual([mode & 0o777, mtimeMs], [0o755, EPOCH * 1_000])
    assert.equal((await stat(join(tree, 'bin'))).mtimeMs, EPOCH * 1_000)
    assert.notEqual((await stat(files.path('program'))).mtimeMs, EPOCH * 1_000)
  })

  it('brings the unit that the agent itself would write', async () => {
    const { serviceUnit } = await import('../../../agent/service/unit.ts')
    assert.equal(readFileSync(join(ROOT, 'packaging/systemd/sallyport-agent.service'), 'utf8'), serviceUnit())
  })
})

describe('signing', () => {
  it('collects the signatures of holders one after the other, each once', async () => {
    await using files = await folder({ 'agent.deb': 'content' })
    const holders = ['a.key', 'b.key', 'c.key']
    const keys: string[] = []
    for (const name of holders) {
      const { publicKey, privateKey } = generateKeyPairSync('ed25519')
      await writeFile(files.path(name), privateKey.export({ type: 'pkcs8', format: 'pem' }))
      keys.push(publicKey.export({ type: 'spki', format: 'der' }).toString('base64'))
    }
    const roots = parseRoots(JSON.stringify({ channel: 'stable', threshold: 2, keys }))
    const described = await describeFiles(files.path('.'), ['agent.deb'])
    const first = await signRelease(release({ files: described }), [files.path('a.key')])
    const again = await withSignature(first, files.path('a.key'))
    assert.equal(formatManifest(again), formatManifest(first))
    assert.throws(() => checkSignatures(again, roots), { code: 'RELEASE_SIGNATURES' })
    const second = await withSignature(parseManifest(Buffer.from(formatManifest(first))), files.path('c.key'))
    assert.equal(checkSignatures(second, roots).signedBy.length, 2)
  })

  it('takes its keys by a file, relative to it, and no secret among its values', async () => {
    const settings = {
      channel: 'stable',
      roots: 'roots.json',
      releaseKeys: ['/media/key/a.pem'],
      authenticode: {
        certificate: 'code.pem',
        key: 'pkcs11:object=code',
        passwordFile: 'pin',
        timestampUrl: 'http://ts.example/',
      },
      cms: { certificate: 'cms.pem', key: 'cms.key' },
    }
    await using files = await folder({
      'signing.json': JSON.stringify(settings),
      'wrong.json': JSON.stringify({
        ...settings,
        authenticode: { ...settings.authenticode, password: 'x' },
      }),
    })
    const signing = readSigning(files.path('signing.json'))
    assert.equal(signing.roots, files.path('roots.json'))
    assert.deepEqual(signing.releaseKeys, ['/media/key/a.pem'])
    assert.equal(signing.authenticode.key, 'pkcs11:object=code')
    assert.equal(signing.authenticode.passwordFile, files.path('pin'))
    assert.throws(() => readSigning(files.path('wrong.json')), /authenticode\.password is not right/)
  })
})
