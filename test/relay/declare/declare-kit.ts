import type { ApiAnswer, ApiKit } from '../../support/api-kit.ts'
import { startApiKit } from '../../support/api-kit.ts'

/** A plan as the API shows it. */
export interface Planned {
  readonly digest: string
  readonly changes: readonly {
    readonly action: string
    readonly name: string
    readonly fields: readonly object[]
  }[]
}

export const CONNECTOR = { environment: 'production', connector: 'app' }
export const GRANT = { ...CONNECTOR, resource: 'hq/db' }

/** A relay whose tenant `default` has ann, its owner, and bob. */
export class DeclareKit implements AsyncDisposable {
  readonly api: ApiKit
  /** Token of an owner. */
  readonly owner: string
  #count = 0

  private constructor(api: ApiKit) {
    this.api = api
    this.owner = api.callers.withRole('owner')
  }

  static async start(): Promise<DeclareKit> {
    const api = await startApiKit()
    for (const login of ['ann', 'bob']) await api.kit.command('person.add', { login })
    await api.kit.command('role.grant', { person: 'ann', role: 'owner' })
    return new DeclareKit(api)
  }

  /** A tenant of its own for a test, and who owns it. */
  async newTenant(): Promise<{ tenant: string; token: string }> {
    const tenant = `t${++this.#count}`
    await this.api.kit.command('tenant.add', { tenant })
    return { tenant, token: this.api.callers.withRole('owner', tenant) }
  }

  plan(document: object, token = this.owner, tenant = 'default'): Promise<ApiAnswer> {
    return this.api.ask('POST', `/tenants/${tenant}/declaration/plan`, { token, body: document })
  }

  /** What would change, where it is planned. */
  async changes(document: object, token = this.owner, tenant = 'default'): Promise<Planned['changes']> {
    return ((await this.plan(document, token, tenant)).body as unknown as Planned).changes
  }

  /** Applies the plan of now. */
  async apply(document: object, token = this.owner, tenant = 'default'): Promise<ApiAnswer> {
    const { digest } = (await this.api.kit.command('declare.plan', { ...document, tenant })) as Planned
    return this.applyPlan({ ...document, digest }, token, tenant)
  }

  applyPlan(body: object, token: string, tenant: string): Promise<ApiAnswer> {
    return this.api.ask('POST', `/tenants/${tenant}/declaration/apply`, { token, body })
  }

  /** All that a refusal must not change. */
  async stateOf(tenant = 'default'): Promise<unknown> {
    const exported = await this.api.kit.command('declare.export', { tenant })
    const { store } = this.api.kit.relay.authority
    const { records } = await store.readAudit(tenant, { order: 'oldest', limit: 1_000 })
    return { exported, records: records.filter(({ action }) => action !== 'operation.refuse').length }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]()
  }
}
