import type { SecretStore } from '../../../relay/store/secret-queries.ts'
import { Secret } from '../../../shared/secret.ts'

/** The secrets of tenants in memory, as the store keeps them. */
export function memorySecrets() {
  const kept = new Map<string, Buffer>()
  const keyOf = (tenantId: string, name: string) => `${tenantId} ${name}`
  const secrets: Pick<SecretStore, 'listSecrets' | 'getSecret' | 'putSecret' | 'removeSecret'> = {
    listSecrets: async (tenantId) =>
      [...kept.keys()]
        .filter((key) => key.startsWith(`${tenantId} `))
        .map((key) => key.slice(tenantId.length + 1))
        .sort(),
    getSecret: async (tenantId, name) => {
      const value = kept.get(keyOf(tenantId, name))
      return value && new Secret(value)
    },
    putSecret: async (tenantId, name, value) => {
      kept.set(keyOf(tenantId, name), Buffer.from(value))
    },
    removeSecret: async (tenantId, name) => kept.delete(keyOf(tenantId, name)),
  }
  return secrets
}
