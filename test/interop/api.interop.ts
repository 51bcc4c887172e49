import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { type ApiKit, startApiKit } from '../support/api-kit.ts'

/**
 * schemathesis reads our OpenAPI document and sends what fits it and what does not, as an owner and with a token of the
 * operator: nothing may answer with a 5xx, with a status, type or form that the document does not know, without a login
 * where it asks for one, or take what the document forbids. Alone: `node test/run.ts test/interop/api.interop.ts` with
 * schemathesis in the directory that INTEROP_PYTHON names, or where the system's python3 finds it. API_SEED=N asks by
 * another seed than the one that every run has, API_SECONDS=N for longer.
 */

const SEED = process.env.API_SEED ?? '20261122'
/** Of schemathesis's own clock. */
const TIME_S = Number(process.env.API_SECONDS ?? 60)

let api: ApiKit
let directory: string

before(async () => {
  api = await startApiKit()
  directory = await mkdtemp(join(tmpdir(), 'sallyport-schemathesis-'))
})

after(async () => {
  await api[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

const CALLERS: Readonly<Record<string, () => Promise<string>>> = {
  'an owner': async () => api.callers.withRole('owner'),
  'a token of the operator': async () => {
    const lent = (await api.kit.command('operator.add', { name: 'schemathesis' })) as { token: string }
    return lent.token
  },
}

describe('schemathesis', () => {
  for (const [caller, tokenOf] of Object.entries(CALLERS)) {
    it(`finds no fault of the API as ${caller}`, { timeout: 4 * TIME_S * 1_000 }, () => ask(tokenOf))
  }

  async function ask(tokenOf: () => Promise<string>): Promise<void> {
    const ca = join(directory, 'ca.pem')
    await writeFile(ca, api.kit.relay.authority.authority.certificate.toString())
    const token = await tokenOf()
    const child = spawn(
      '/usr/bin/python3',
      [
        ...['-m', 'schemathesis.cli', '--config-file', join(import.meta.dirname, 'api.toml'), 'run'],
        ...[
          `https://127.0.0.1:${api.kit.port}/api/v1/openapi.json`,
          '--tls-verify',
          ca,
          '-H',
          `Authorization: Bearer ${token}`,
        ],
        ...[
          '--phases',
          'examples,coverage,fuzzing',
          '-n',
          '8',
          '--max-time',
          `${TIME_S}`,
          '--seed',
          SEED,
          '--no-color',
          '--warnings',
          'off',
        ],
      ],
      { cwd: directory, env: { ...process.env, PYTHONPATH: process.env.INTEROP_PYTHON ?? '' } },
    )
    const [out, err, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve) => child.once('close', resolve)),
    ])
    assert.equal(status, 0, `${out}\n${err}`)
    assert.match(out, /Tested: +[1-9]/)
  }
})
