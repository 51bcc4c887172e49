import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openSqliteStore } from '../../../relay/store/sqlite-store.ts'
import type { NewAgent, NewConnector, Store } from '../../../relay/store/store.ts'

/** A private directory that goes away with the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sallyport-test-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A store in a file of its own that is closed with the test. */
export async function openTestStore(t: TestContext): Promise<{ store: Store; path: string }> {
  const path = join(await temporaryDirectory(t), 'relay.db')
  const store = await openSqliteStore(path)
  t.after(() => store[Symbol.asyncDispose]())
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
