import type { TestContext } from 'node:test'
import type { AuditEvent } from '../../../relay/audit/record.ts'
import { AuditTrail } from '../../../relay/audit/trail.ts'
import { type CertificateAuthority, createAuthority } from '../../../relay/authority/certificate-authority.ts'
import type { Store } from '../../../relay/store/store.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { type RecordedLog, recordLog } from '../../support/recorded-log.ts'
import { openTestStore, temporaryDirectory } from '../store/store-fixture.ts'

export interface TestTrail {
  readonly trail: AuditTrail
  readonly store: Store
  /** The file of the store. */
  readonly path: string
  readonly effects: FakeEffects
  readonly authority: CertificateAuthority
  readonly log: RecordedLog
  /** `ACTION OBJECT OUTCOME` of each record of a chain, oldest first. */
  records(chain?: string): Promise<readonly string[]>
}

/** A trail over a store of its own, that has not started. */
export async function testTrail(t: TestContext): Promise<TestTrail> {
  const { store, path } = await openTestStore(t)
  const effects = new FakeEffects()
  const authority = await createAuthority(await temporaryDirectory(t), effects)
  const log = recordLog()
  const trail = new AuditTrail({ store, authority, effects, log: log.log })
  const records = async (chain = 'default') => {
    const lines: string[] = []
    let cursor: number | undefined
    do {
      const page = await store.readAudit(chain, { order: 'oldest', limit: 1_000, cursor })
      lines.push(...page.records.map(({ action, object, outcome }) => `${action} ${object} ${outcome}`))
      cursor = page.next
    } while (cursor !== undefined)
    return lines
  }
  return { trail, store, path, effects, authority, log, records }
}

export function streamClosed(object: string, changes: Partial<AuditEvent> = {}): AuditEvent {
  return {
    tenantId: 'default',
    environment: 'production',
    actor: { kind: 'connector', id: 'c' },
    source: '192.0.2.1',
    action: 'stream.close',
    object,
    outcome: 'OK',
    traceId: 'ab',
    ...changes,
  }
}
