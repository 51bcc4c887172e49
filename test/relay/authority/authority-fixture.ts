import { randomBytes, X509Certificate } from 'node:crypto'
import type { TestContext } from 'node:test'
import { openAuthority } from '../../../relay/authority/authority.ts'
import type { AuthorityContext } from '../../../relay/authority/context.ts'
import { enroll } from '../../../relay/authority/enroll.ts'
import { createJoinString } from '../../../relay/authority/invite.ts'
import type { Effects } from '../../../shared/effects.ts'
import { realEffects } from '../../../shared/effects.ts'
import { createCsr } from '../../../shared/identity/csr.ts'
import type { EnrollResponse } from '../../../shared/identity/enrollment-messages.ts'
import { parseJoinString } from '../../../shared/identity/join-string.ts'
import { generateKey } from '../../../shared/identity/keys.ts'
import { actAt } from '../../support/acts.ts'
import { temporaryDirectory } from '../store/store-fixture.ts'

/** Where the relay of these tests says that it is. */
export const LOCATION = {
  addresses: [{ host: '127.0.0.1', port: 8443 }],
  serverName: 'relay.test',
  environment: 'production',
}

export const DAY = 86_400_000

/** A wall clock that stands still until it is moved. */
export interface TestClock extends Effects {
  moveTo(date: number): void
}

export function testClock(start = Date.UTC(2026, 10, 22)): TestClock {
  let date = start
  return { ...realEffects, date: () => date, randomBytes, moveTo: (next) => (date = next) }
}

export interface TestAuthority {
  readonly context: AuthorityContext
  readonly clock: TestClock
  readonly directory: string
}

/** An authority in a directory of its own, on a clock that stands still. */
export async function openTestAuthority(
  t: TestContext,
  clock = testClock(),
  lifetimes: { agentLifetimeMs?: number } = {},
): Promise<TestAuthority> {
  const directory = await temporaryDirectory(t)
  const context = await openAuthority({ directory, effects: clock, ...lifetimes })
  t.after(() => context.store[Symbol.asyncDispose]())
  return { context, clock, directory }
}

/** A fresh token for the site `berlin`, in Base64url. */
export async function newToken(context: AuthorityContext): Promise<string> {
  const { text } = await createJoinString(
    context,
    'default',
    { ...LOCATION, site: 'berlin' },
    actAt(context.effects.date()),
  )
  return parseJoinString(text.reveal()).token.reveal().toString('base64url')
}

export async function enrollBody(token: string): Promise<Record<string, unknown>> {
  return { token, csr: await createCsr(await generateKey()), version: '0.1.0', instance: 'i1' }
}

export async function renewBody(): Promise<Record<string, unknown>> {
  return { csr: await createCsr(await generateKey()), version: '0.1.0', instance: 'i1' }
}

export const ORIGIN = { sourceAddress: '192.0.2.1', traceId: 'f'.repeat(32) }

export interface EnrolledAgent {
  readonly answer: EnrollResponse
  readonly certificate: X509Certificate
}

/** An agent of the site `berlin`. */
export async function enrolledAgent(context: AuthorityContext): Promise<EnrolledAgent> {
  const answer = await enroll(context, await enrollBody(await newToken(context)), ORIGIN)
  return { answer, certificate: new X509Certificate(answer.certificate) }
}
