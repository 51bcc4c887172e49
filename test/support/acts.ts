import type { Act } from '../../relay/audit/record.ts'

/** The act of an operator, at `at` ms. */
export function actAt(at = 1_000): Act {
  return { actor: { kind: 'operator', id: '' }, source: 'local', traceId: 'f'.repeat(32), at }
}
