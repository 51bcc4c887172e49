import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openSqliteStore, type StoreOptions } from '../../../relay/store/sqlite-store.ts'
import type { NewAgent, NewConnector, Store } from '../../../relay/store/store.ts'
import { seal, unseal } from '../../../relay/store/vault/envelope.ts'
import type { KeyWrapper } from '../../../relay/store/vault/master-key.ts'
import { realEffects } from '../../../shared/effects.ts'

/** A private directory that goes away with the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sallyport-test-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A master key in memory, and bytes that are random. */
export function storeOptions(name = 'file-test'): StoreOptions {
  const key = createHash('sha256').update(name).digest()
  const wrapper: KeyWrapper = {
    name,
    wrap: async (inner, belonging) => seal(key, belonging, inner, realEffects),
    unwrap: async (wrapped, belonging) => unseal(key, belonging, wrapped),
  }
  return { effects: realEffects, wrappers: () => [wrapper] }
}

/** A store in a file of its own that is closed with the test. */
export async function openTestStore(t: TestContext): Promise<{ store: Store; path: string }> {
  const opened: Store[] = []
  // Before the directory goes: hooks run in the order in which they were made.
  t.after(() => Promise.all(opened.map((store) => store[Symbol.asyncDispose]())))
  const path = join(await temporaryDirectory(t), 'relay.db')
  const store = await openSqliteStore(path, storeOptions())
  opened.push(store)
  return { store, path }
}

export function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

export function newAgent(id: string, changes: Partial<NewAgent> = {}): NewAgent {
  return {
    id,
    serial: `serial-1-${id}`,
    fingerprint: `SHA256:${id}`,
    notAfter: 9_000,
    createdAt: 1_000,
    version: '0.1.0',
    instance: 'instance',
    sourceAddress: '192.0.2.1',
    ...changes,
  }
}

export function newConnector(id: string, name: string): NewConnector {
  return {
    id,
    environment: 'production',
    name,
    serial: `serial-${id}`,
    fingerprint: `SHA256:${id}`,
    notAfter: 9_000,
    createdAt: 1_000,
  }
}
