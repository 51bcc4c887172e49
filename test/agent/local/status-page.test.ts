import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import type { StatusAnswer } from '../../../agent/local/status-command.ts'
import { pageText, type StatusPage, serveStatusPage } from '../../../agent/local/status-page.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'

const STATUS: StatusAnswer = {
  connected: true,
  site: 'berlin',
  relay: 'relay.example.com:443',
  since: 0,
  fingerprint: 'SHA256:x',
  certificateEnds: 0,
  streams: 0,
  waiting: 0,
  resumes: { resumed: 0, failed: {} },
  sessions: [],
  denied: 0,
  rules: 0,
  targets: [],
}

interface Answer {
  readonly status: number | undefined
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

function ask(
  where: object,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, path, headers, method, agent: false }, async (response) => {
      resolve({ status: response.statusCode, headers: response.headers, body: await text(response) })
    })
    asked.on('error', reject).end()
  })
}

function portOf({ address }: StatusPage): number {
  return Number(new URL(address).port)
}

describe('the status page', () => {
  it('shows the status to whoever is on this machine, and loads, frames and keeps nothing', async () => {
    await using page = await serveStatusPage('127.0.0.1:0', () => STATUS)
    const port = portOf(page)
    const { status, headers, body } = await ask({ port }, '/')
    assert.equal(status, 200)
    assert.match(body, /connected to relay\.example\.com:443/)
    assert.match(String(headers['content-security-policy']), /^default-src 'none'.*frame-ancestors 'none'$/)
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(JSON.parse((await ask({ port }, '/status.json')).body).site, 'berlin')
    assert.equal((await ask({ port }, '/other')).status, 404)
  })

  it('can only be read', async () => {
    await using page = await serveStatusPage('127.0.0.1:0', () => STATUS)
    const port = portOf(page)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      assert.equal((await ask({ port }, '/', {}, method)).status, 405, method)
    }
    const { status, body } = await ask({ port }, '/', {}, 'HEAD')
    assert.deepEqual([status, body], [200, ''])
  })

  it('S30: tells nothing to a page that comes by another name', async () => {
    await using page = await serveStatusPage('127.0.0.1:0', () => STATUS)
    const port = portOf(page)
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '127.0.0.1',
      `127.0.0.1:${port + 1}`,
      `127.0.0.1.evil:${port}`,
    ]) {
      const { status, body } = await ask({ port }, '/', { host })
      assert.equal(status, 421, host)
      assert.equal(body.includes('berlin'), false)
    }
    assert.equal((await ask({ port }, '/', { host: `LOCALHOST:${port}` })).status, 200)
  })

  it('listens nowhere that others reach', async () => {
    for (const where of [
      '0.0.0.0:0',
      '[::]:0',
      '192.0.2.1:0',
      'example.com:0',
      '[::ffff:127.0.0.1]:0',
      ':0',
      '127.0.0.1',
    ]) {
      await assert.rejects(
        serveStatusPage(where, () => STATUS),
        { code: 'USAGE' },
        where,
      )
    }
  })

  it('on a unix socket is for its owner alone, and takes the place of a dead one', async (t) => {
    const path = join(await temporaryDirectory(t), 'page.sock')
    {
      await using _page = await serveStatusPage(path, () => STATUS)
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      assert.equal((await ask({ socketPath: path }, '/', { host: 'anything' })).status, 200)
    }
    await using again = await serveStatusPage(path, () => STATUS)
    assert.equal(again.address, path)
  })

  it('holds no markup but its own, whoever chose the words', () => {
    const evil = '<script>alert(1)</script>"\'&\u202e\n'
    const page = pageText({
      ...STATUS,
      site: evil,
      relay: evil,
      rulesError: evil,
      targets: [{ resource: 'x', probe: 'tcp', state: 'failing', code: 'DNS', detail: evil, since: 0 }],
    })
    assert.equal(/<script|\u202e|alert\(1\)<\//.test(page), false)
    assert.match(page, /&#60;script&#62;/)
  })
})
