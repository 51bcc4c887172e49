import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { type HttpService, sampleBytes, startHttpService } from '../../../demo/services/http.ts'

describe('the HTTP sample service', () => {
  let service: HttpService
  before(async () => {
    service = await startHttpService()
  })
  after(() => service.stop())

  const ask = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${service.port}${path}`, init)

  it('has a page', async () => {
    const response = await ask('/')
    assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
    assert.match(await response.text(), /<h1>A service on site<\/h1>/)
  })

  it('tells what it saw of the request', async () => {
    const response = await ask('/json?a=1', { headers: { 'x-trace': '42' } })
    const seen = (await response.json()) as { url: string; headers: Record<string, string> }
    assert.equal(seen.url, '/json?a=1')
    assert.equal(seen.headers['x-trace'], '42')
  })

  it('gives as many bytes as are asked for', async () => {
    for (const length of [0, 1, 65_536, 1_000_001]) {
      const response = await ask(`/bytes/${length}`)
      const body = Buffer.from(await response.arrayBuffer())
      assert.equal(body.length, length)
      assert.ok(body.equals(Buffer.concat([...sampleBytes(length)])))
    }
    for (const wrong of ['', '-1', '1e3', '99999999999', 'x'])
      assert.equal((await ask(`/bytes/${wrong}`)).status, 400)
  })

  it('gives bytes of which no 64 KiB are like any others', () => {
    const blocks = [...sampleBytes(1_000_001)].map((block) => block.toString())
    assert.equal(blocks.length, 16)
    assert.equal(new Set(blocks).size, 16)
  })

  it('gives back length and hash of an upload', async () => {
    const body = Buffer.alloc(300_000, 'upload')
    const response = await ask('/upload', { method: 'POST', body })
    const sha256 = createHash('sha256').update(body).digest('hex')
    assert.deepEqual(await response.json(), { length: 300_000, sha256 })
  })

  it('sends the time as events, the first at once', async () => {
    const controller = new AbortController()
    const response = await ask('/clock', { signal: controller.signal })
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    const reader = response.body?.getReader()
    const { value } = (await reader?.read()) ?? {}
    assert.match(Buffer.from(value ?? []).toString(), /^data: \d{4}-\d\d-\d\dT[\d:.]+Z\n\n$/)
    controller.abort()
  })

  it('knows nothing else', async () => {
    for (const path of ['/none', '/toString', '/__proto__']) assert.equal((await ask(path)).status, 404)
    assert.equal((await ask('/upload')).status, 404)
  })
})
