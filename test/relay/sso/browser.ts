import https from 'node:https'

/** A page as a test sees it: where the browser stands, and what came. */
export interface Page {
  readonly url: URL
  readonly status: number
  readonly text: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface Visit {
  readonly method?: string
  readonly form?: Readonly<Record<string, string>>
  readonly json?: object
  readonly headers?: Readonly<Record<string, string>>
  /** True: gives back what redirects instead of going on. */
  readonly stops?: boolean
}

/**
 * What of a browser a sign-on needs: cookies by host, redirects, HTTPS. All names are on this machine. `SameSite` is left
 * aside; the interop lane has a real browser.
 */
export class Browser {
  /** By `HOST:PORT` and name. */
  readonly cookies = new Map<string, Map<string, string>>()
  readonly #ca: readonly string[]

  constructor(ca: readonly string[]) {
    this.#ca = ca
  }

  async visit(target: string | URL, visit: Visit = {}): Promise<Page> {
    let page = await this.#send(new URL(target), visit)
    for (let hops = 0; page.status >= 300 && page.status < 400 && visit.stops !== true; hops++) {
      if (hops === 10) throw new Error(`too many redirects, the last to ${String(page.headers.location)}`)
      page = await this.#send(new URL(String(page.headers.location), page.url), {})
    }
    return page
  }

  cookie(url: string | URL, name: string): string | undefined {
    return this.cookies.get(new URL(url).host)?.get(name)
  }

  async #send(url: URL, { method, form, json, headers = {} }: Visit): Promise<Page> {
    const body = form === undefined ? json && JSON.stringify(json) : new URLSearchParams(form).toString()
    const type = form === undefined ? 'application/json' : 'application/x-www-form-urlencoded'
    const jar = this.cookies.get(url.host) ?? new Map<string, string>()
    this.cookies.set(url.host, jar)
    const request = https.request(url, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      agent: false,
      ca: [...this.#ca],
      lookup: (_host, options, callback) =>
        options.all === true
          ? callback(null, [{ address: '127.0.0.1', family: 4 }])
          : callback(null, '127.0.0.1', 4),
      headers: {
        ...(jar.size === 0 ? {} : { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') }),
        ...(body === undefined
          ? {}
          : { 'content-type': type, 'content-length': `${Buffer.byteLength(body)}` }),
        ...headers,
      },
    })
    const { promise, resolve, reject } = Promise.withResolvers<Page>()
    request.on('error', reject)
    request.on('response', async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
      for (const line of response.headers['set-cookie'] ?? []) keep(jar, line)
      const text = Buffer.concat(chunks).toString()
      resolve({ url, status: response.statusCode ?? 0, text, headers: response.headers })
    })
    request.end(body)
    return promise
  }
}

function keep(jar: Map<string, string>, line: string): void {
  const [pair = '', ...attributes] = line.split('; ')
  const at = pair.indexOf('=')
  const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
  const isOver =
    value === '' ||
    attributes.some((one) => /^max-age=0$/i.test(one) || /^expires=Thu, 01 Jan 1970/i.test(one))
  if (isOver) jar.delete(name)
  else jar.set(name, value)
}
