/**
 * S08: whether the time of a login that fails tells anything of the account. 200 logins of each kind, mixed, at the real cost
 * of a hash, against a relay in this process; then medians, and the shares that a guess by time would get right.
 *
 *     node test/security/login-timing.ts [LOGINS]
 *
 * Takes a minute. Fails where a median is off by more than 10 % and 5 ms.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLink, spendLink } from '../../relay/people/links.ts'
import { provePassword } from '../../relay/people/login.ts'
import { newId } from '../../relay/people/people.ts'
import { startRelay } from '../../relay/relay.ts'
import { realEffects } from '../../shared/effects.ts'
import { isTunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { actAt } from '../support/acts.ts'
import { recordLog } from '../support/recorded-log.ts'

const LOGINS = Number(process.argv[2] ?? 200)
const PASSWORD = 'the harbour lies still tonight'
const KINDS = {
  'unknown name': { login: 'nobody', password: 'not the password' },
  'unknown tenant': { login: 'ann', password: 'not the password', tenant: 'elsewhere' },
  'wrong password': { login: 'ann', password: 'not the password' },
  'wrong, with a second factor': { login: 'faye', password: 'not the password' },
  'wrong, locked': { login: 'lock', password: 'not the password' },
  'right, locked': { login: 'lock', password: PASSWORD },
} as const

const directory = await mkdtemp(join(tmpdir(), 'sallyport-timing-'))
const relay = await startRelay({
  directory,
  listen: { host: '127.0.0.1', port: 0 },
  name: 'localhost',
  effects: realEffects,
  log: recordLog().log,
  logins: { rates: { addressPerSecond: 1e6, addressBurst: 1e6, accountPerSecond: 1e6, accountBurst: 1e6 } },
})
const { people } = relay
const origin = { source: '192.0.2.1', traceId: 'f'.repeat(32) }

async function addPerson(login: string): Promise<string> {
  const id = newId(people)
  const act = actAt(realEffects.date())
  await people.store.addPerson('default', { id, login }, act)
  const { url } = await createLink(people, 'default', id, act)
  await spendLink(people, { link: url, password: new Secret(PASSWORD), login: undefined }, origin)
  return id
}

async function timeOf({
  login,
  password,
  tenant = 'default',
}: {
  login: string
  password: string
  tenant?: string
}) {
  const begun = performance.now()
  await provePassword(people, { tenantId: tenant, login, password: new Secret(password) }, origin).then(
    () => Promise.reject(new Error('a login that must fail did not')),
    (error: unknown) => (isTunnelError(error) && error.code === 'LOGIN' ? undefined : Promise.reject(error)),
  )
  return performance.now() - begun
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN
}

try {
  await addPerson('ann')
  const factor = {
    kind: 'totp',
    name: 'phone',
    createdAt: 1,
    isConfirmed: true,
    counter: 0,
    credential: '',
  } as const
  await people.store.addFactor('default', await addPerson('faye'), { id: 'f', ...factor }, actAt())
  await addPerson('lock')
  // Nobody but `lock` may be locked by what is measured.
  await people.store.setLockoutAfter('default', 2, actAt())
  for (let i = 0; i < 2; i++) await timeOf(KINDS['wrong, locked'])
  await people.store.setLockoutAfter('default', 1_000_000, actAt())
  const times = new Map(Object.keys(KINDS).map((kind) => [kind, [] as number[]]))
  for (let i = 0; i < LOGINS; i++) {
    // Mixed, so that what else the machine does falls on all of them, and none always follows the same one.
    const mixed = Object.entries(KINDS)
      .map(([kind, login]) => ({ kind, login, order: Math.random() }))
      .toSorted((one, other) => one.order - other.order)
    for (const { kind, login } of mixed) times.get(kind)?.push(await timeOf(login))
  }
  const reference = median(times.get('unknown name') ?? [])
  let isEven = true
  for (const [kind, all] of times) {
    const off = median(all) - reference
    const above = all.filter((time) => time > reference).length / all.length
    const isWide = Math.abs(off) > 5 && Math.abs(off) > reference * 0.1
    isEven &&= !isWide
    const middle = `median ${median(all).toFixed(1)} ms, off ${off.toFixed(2)} ms`
    const share = `${(above * 100).toFixed(0)} % slower than the median of an unknown name`
    process.stdout.write(`${kind.padEnd(28)}  ${middle}, ${share}${isWide ? '  TOO FAR' : ''}\n`)
  }
  process.exitCode = isEven ? 0 : 1
} finally {
  await relay.stop(0)
  await rm(directory, { recursive: true, force: true })
}
