import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { serveMetrics } from '../../../relay/metrics/serve.ts'
import { within } from '../../support/deadline.ts'

function ask(
  port: number,
  options: http.RequestOptions,
): Promise<{ status: number | undefined; body: string }> {
  const answered = new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path: '/metrics', agent: false, ...options })
    request.on('error', reject)
    request.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode, body }))
    })
    request.end()
  })
  return within(answered, 'the answer')
}

test('metrics are read by GET /metrics, under an address or as localhost, and nothing else is there', async () => {
  await using server = await serveMetrics({ host: '127.0.0.1', port: 0 }, () => 'up 1\n')
  assert.deepEqual(await ask(server.port, {}), { status: 200, body: 'up 1\n' })
  for (const host of ['localhost', `localhost:${server.port}`, '[::1]:9464', '127.0.0.9']) {
    assert.equal((await ask(server.port, { headers: { host } })).status, 200, host)
  }
  for (const options of [
    { path: '/' },
    { path: '/metrics/' },
    { method: 'POST' },
    { headers: { host: 'evil.example' } },
    { headers: { host: '127.evil.example' } },
  ]) {
    assert.deepEqual(await ask(server.port, options), { status: 404, body: '' }, JSON.stringify(options))
  }
})

test('an address that others can reach is refused', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'localhost', '127.evil.example']) {
    await assert.rejects(
      serveMetrics({ host, port: 0 }, () => ''),
      { code: 'USAGE' },
    )
  }
})
