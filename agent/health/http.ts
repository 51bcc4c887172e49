import { requestDenial } from '../../shared/policy/request.ts'
import type { Rule } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { firstLine, foreign, type Hello } from './hello.ts'

/** Answers of a server in front that does not reach what is behind it. */
const NOTHING_BEHIND: ReadonlySet<number> = new Set([502, 503, 504])

/** A method that a server need not have. */
const NOT_IMPLEMENTED = 501

/**
 * A request for the head of the first path of the rule. It passes the rule like any other: where neither HEAD nor GET may,
 * there is none, and the answer is undefined.
 */
export function httpHello(rule: Pick<Rule, 'host' | 'port' | 'http'>): Hello | undefined {
  const target = rule.http?.pathPrefixes[0] ?? '/'
  const method = ['HEAD', 'GET'].find(
    (name) => requestDenial(rule.http, { method: name, target }) === undefined,
  )
  if (method === undefined) return undefined
  const host = rule.http?.hostHeader ?? formatHostPort(rule.host.text, rule.port)
  return {
    ask: Buffer.from(
      `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: sallyport-health\r\nConnection: close\r\n\r\n`,
    ),
    read: (answer) => {
      const line = firstLine(answer)
      const isHttp = /^HTTP\/1\.[01] [1-5]\d\d/.test(line ?? '')
      if (line === undefined)
        return 'HTTP/1.'.startsWith(answer.toString('latin1', 0, 7)) ? undefined : foreign('HTTP', answer)
      return isHttp ? meaning(Number(line.slice(9, 12)), line) : foreign('HTTP', answer)
    },
  }
}

function meaning(status: number, said: string) {
  const note = `HTTP, answers ${status}`
  if (NOTHING_BEHIND.has(status)) return { state: 'failing', note, said } as const
  return { state: status >= 500 && status !== NOT_IMPLEMENTED ? 'warn' : 'ok', note, said } as const
}
