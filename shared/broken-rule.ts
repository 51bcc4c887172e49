import { TunnelError } from './errors.ts'

/** Most characters of a member's name that are shown: it may be what somebody sent. */
const SHOWN = 64

/**
 * Bad input, as INPUT.
 * @param field the member that is not right, as a path with dots; empty for the whole
 * @param rule what it has to keep to
 * @param whole what the whole is called
 */
export function brokenRule(field: string, rule: string, whole = 'The whole'): TunnelError {
  const shown = field.length > SHOWN ? `${field.slice(0, SHOWN)}…` : field
  return new TunnelError('INPUT', `${shown === '' ? whole : shown} breaks the rule: ${rule}.`, {
    field: shown,
    rule,
  })
}
