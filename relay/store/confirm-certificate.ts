import type { Database } from './change.ts'

/**
 * Forgets the certificate before the one with `serial`, which its holder has shown to have.
 * @returns false where the holder's certificate is another by now
 */
export async function confirmCertificate(
  db: Database,
  holders: 'agents' | 'connectors',
  [tenantId, id, serial]: readonly [tenantId: string, id: string, serial: string],
): Promise<boolean> {
  const result = await db
    .updateTable(holders)
    .set({ previous_serial: null })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('serial', '=', serial)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}
