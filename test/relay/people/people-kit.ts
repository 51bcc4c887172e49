import https from 'node:https'
import type { TestContext } from 'node:test'
import { controlHandlers } from '../../../relay/control.ts'
import type { LoginRates } from '../../../relay/people/login-rates.ts'
import { parseToken } from '../../../relay/people/token.ts'
import { startRelay } from '../../../relay/relay.ts'
import { type Effects, realEffects } from '../../../shared/effects.ts'
import { relayTlsOptions } from '../../../shared/identity/relay-tls.ts'
import { recordLog } from '../../support/recorded-log.ts'
import { temporaryDirectory } from '../store/store-fixture.ts'

/** Costs next to nothing, so that tests may hash often. */
export const CHEAP = { memory: 64, passes: 1, parallelism: 1 } as const

/** More than any test asks. */
export const NO_RATES: LoginRates = {
  addressPerSecond: 1_000,
  addressBurst: 1_000,
  accountPerSecond: 1_000,
  accountBurst: 1_000,
}

export const PASSWORD = 'the harbour lies still tonight'

/** A clock that runs, and that a test puts forward. */
export function shiftedEffects(): Effects & { shift(ms: number): void } {
  let shifted = 0
  return {
    ...realEffects,
    date: () => realEffects.date() + shifted,
    now: () => realEffects.now() + shifted,
    shift(ms) {
      shifted += ms
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly text: string
  readonly cookies: readonly string[]
}

export interface Ask {
  readonly cookie?: string
  readonly bearer?: string
  /** Loopback addresses stand for the addresses of the world. */
  readonly from?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A relay in this process, asked over HTTPS. */
export async function startPeopleKit(
  t: TestContext,
  options: { rates?: LoginRates; effects?: Effects } = {},
) {
  const directory = await temporaryDirectory(t)
  const { log } = recordLog()
  const effects = options.effects ?? realEffects
  const relay = await startRelay({
    directory,
    listen: { host: '127.0.0.1', port: 0 },
    name: 'localhost',
    effects,
    log,
    logins: { rates: options.rates ?? NO_RATES, hashCost: CHEAP },
  })
  t.after(() => relay.stop(0))
  const ca = relay.authority.authority.certificate.toString()
  const { port } = relay.address
  const ask = (method: string, path: string, body?: object, how: Ask = {}): Promise<Answer> =>
    request({ method, path: `/api/v1${path}`, port, ca, body, how })
  const command = async (name: string, params: object) => {
    const handler = controlHandlers(relay)[name]
    if (handler === undefined) throw new Error(`no operation ${name}`)
    return (await handler(params, AbortSignal.timeout(10_000))) as Record<string, unknown>
  }
  return { relay, effects, ask, command, directory }
}

export type PeopleKit = Awaited<ReturnType<typeof startPeopleKit>>

function request({
  method,
  path,
  port,
  ca,
  body,
  how,
}: {
  method: string
  path: string
  port: number
  ca: string
  body: object | undefined
  how: Ask
}): Promise<Answer> {
  const own = `https://localhost:${port}`
  const headers: Record<string, string> = { ...how.headers }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (how.cookie !== undefined) {
    Object.assign(headers, {
      cookie: `__Host-sallyport=${how.cookie}`,
      origin: own,
      'x-sallyport-request': '1',
    })
  }
  if (how.bearer !== undefined) headers.authorization = `Bearer ${how.bearer}`
  return new Promise((resolve, reject) => {
    const sent = https.request(
      {
        ...relayTlsOptions({ serverName: 'localhost', ca }),
        ...{ host: '127.0.0.1', port, method, path, agent: false },
        headers: { ...headers, host: `localhost:${port}`, ...how.headers },
        ...(how.from === undefined ? {} : { localAddress: how.from }),
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({
            status: response.statusCode ?? 0,
            body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
            text,
            cookies: response.headers['set-cookie'] ?? [],
          })
        })
        response.on('error', reject)
      },
    )
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** The token in the link of an answer. */
export function linkOf({ link }: Record<string, unknown>): string {
  return String(link)
}

/** The value of the session cookie that an answer sets. */
export function cookieOf({ cookies }: Answer): string {
  const value = /^__Host-sallyport=([^;]*)/.exec(cookies[0] ?? '')?.[1] ?? ''
  if (parseToken('session', value) === undefined) throw new Error('the answer sets no session')
  return value
}

/** Makes the first owner of the default tenant. @returns its session */
export async function setUpOwner(kit: PeopleKit, from = '127.0.0.1'): Promise<string> {
  const made = await kit.command('setup.link', {})
  await kit.ask('POST', '/links/spend', { link: linkOf(made), login: 'olga', password: PASSWORD })
  return logIn(kit, 'olga', { from })
}

/** Adds a person with a password. @returns its id */
export async function addPerson(kit: PeopleKit, login: string, tenant = 'default'): Promise<string> {
  const made = await kit.command('person.add', { tenant, login })
  const spent = await kit.ask('POST', '/links/spend', { link: linkOf(made), password: PASSWORD })
  if (spent.status !== 200) throw new Error(spent.text)
  return String(made.person)
}

/** @returns the session of a person without a second factor */
export async function logIn(kit: PeopleKit, login: string, how: Ask = {}): Promise<string> {
  const answer = await kit.ask('POST', '/session', { login, password: PASSWORD }, how)
  if (answer.status !== 200) throw new Error(answer.text)
  return cookieOf(answer)
}
