import assert from 'node:assert/strict'
import http, { type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { it, type TestContext } from 'node:test'
import { loadPac } from '../../../shared/network/pac-source.ts'

/** The URL of a server that answers so until the test ends. */
async function serve(
  t: TestContext,
  answer: (path: string, response: ServerResponse) => void,
): Promise<string> {
  const server = http.createServer((request, response) => answer(request.url ?? '', response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const load = (source: string) => loadPac(source, [], AbortSignal.timeout(10_000))

it('a PAC file is downloaded, over redirects too', async (t) => {
  const url = await serve(t, (path, response) => {
    if (path === '/proxy.pac') response.end('script')
    else response.writeHead(302, { location: '/proxy.pac' }).end()
  })
  assert.equal(await load(`${url}/proxy.pac`), 'script')
  assert.equal(await load(`${url}/old`), 'script')
})

it('a PAC file that cannot be had is told by its address and why, without what may be secret in it', async (t) => {
  const url = await serve(t, (path, response) => {
    if (path.startsWith('/round')) response.writeHead(302, { location: '/round' }).end()
    else if (path.startsWith('/file')) response.writeHead(302, { location: 'file:///etc/passwd' }).end()
    else if (path.startsWith('/long')) response.end(Buffer.alloc(1_100_000))
    else response.writeHead(404).end()
  })
  const fails = (source: string, message: RegExp) => assert.rejects(load(source), { code: 'PAC', message })
  await fails(`${url}/none?key=canary`, /none\?\.\.\. answered with 404/)
  await fails(`${url}/round`, /on and on/)
  await fails(`${url}/file`, /less safe/)
  await fails(`${url}/long`, /longer than/)
  await fails('/no/such/file', /\/no\/such\/file: ENOENT/)
  await fails('http://eve:canary@127.0.0.1:1/', /^(?!.*canary).*127\.0\.0\.1:1.*ECONNREFUSED/)
})
