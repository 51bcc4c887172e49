/**
 * The one text of a document that is signed: RFC 8785 for texts, whole numbers, booleans, lists and objects, that is JSON
 * without spaces and with the keys of each object in the order of their UTF-16 units. Signatures are made over its UTF-8.
 * @throws {RangeError} on any other value, such as a fraction, null or undefined: there is more than one way to write it
 */
export function canonicalText(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value)
  if (typeof value === 'number' && Number.isSafeInteger(value)) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`
  if (typeof value !== 'object' || value === null) {
    throw new RangeError(`${String(value)} has no canonical form`)
  }
  const members = Object.entries(value)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalText(member)}`)
  return `{${members.join(',')}}`
}
