import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { NetworkChoice } from './choice.ts'

/**
 * What Windows has set: first for the user ("Internet options"), then for services (WinHTTP). Written from Microsoft's
 * documentation and from recorded output; NOT tried on a real Windows (docs/networks.md).
 */
const USER_KEY = String.raw`HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings`

const TIMEOUT_MS = 3_000

/** Runs a program of the system by its whole path; undefined where it fails. */
export type RunTool = (file: string, args: readonly string[]) => Promise<string | undefined>

const runTool: RunTool = (file, args) =>
  new Promise((resolve) => {
    const options = { timeout: TIMEOUT_MS, windowsHide: true, maxBuffer: 262_144 }
    execFile(file, args, options, (err, stdout) => resolve(err === null ? stdout : undefined))
  })

/**
 * The proxy settings of Windows; nothing where there are none or they cannot be read.
 * @param systemRoot value of the variable SystemRoot
 */
export async function readWindowsProxy(systemRoot: string, run: RunTool = runTool): Promise<NetworkChoice> {
  const tool = (name: string) => join(systemRoot, 'System32', name)
  const user = parseRegistry((await run(tool('reg.exe'), ['query', USER_KEY])) ?? '')
  if (user.proxy !== undefined || user.pac !== undefined) return user
  return parseWinHttp((await run(tool('netsh.exe'), ['winhttp', 'show', 'proxy'])) ?? '')
}

/** Reads what `reg query` prints of the user's Internet Settings. */
export function parseRegistry(text: string): NetworkChoice {
  const values = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const [, name, value] = /^\s+(\S+)\s+REG_\w+\s+(.*?)\s*$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) values.set(name.toLowerCase(), value)
  }
  const pac = values.get('autoconfigurl')
  if (pac !== undefined && pac !== '') return { pac }
  if (Number(values.get('proxyenable') ?? 0) !== 1) return {}
  return choiceOf(values.get('proxyserver') ?? '', values.get('proxyoverride') ?? '')
}

/** Reads what `netsh winhttp show proxy` prints; its words differ by language, so only its form counts. */
export function parseWinHttp(text: string): NetworkChoice {
  const values = text.split(/\r?\n/).flatMap((line) => /^\s+[^:]+:\s+(\S.*?)\s*$/.exec(line)?.[1] ?? [])
  const [server = '', bypass = ''] = values
  return choiceOf(server, bypass.startsWith('(') ? '' : bypass)
}

/** `HOST:PORT`, or `http=HOST:PORT;https=HOST:PORT;socks=HOST:PORT`. */
function choiceOf(server: string, bypass: string): NetworkChoice {
  const byScheme = new Map(
    server.split(';').map((part) => {
      const equals = part.indexOf('=')
      return equals < 0
        ? (['', part.trim()] as const)
        : ([part.slice(0, equals).trim(), part.slice(equals + 1).trim()] as const)
    }),
  )
  const socks = byScheme.get('socks')
  const proxy =
    byScheme.get('https') ?? byScheme.get('') ?? (socks === undefined ? undefined : `socks5://${socks}`)
  if (proxy === undefined || proxy === '') return {}
  return { proxy, ...(bypass === '' ? {} : { noProxy: bypass }) }
}
