import assert from 'node:assert/strict'
import { type Cidr, parseCidr } from '../../shared/policy/cidr.ts'

/** The range that `text` writes. */
export function cidr(text: string): Cidr {
  const result = parseCidr(text)
  assert.ok(result.ok, text)
  return result.value
}
