/** Longest version in characters. */
const MAX_LENGTH = 31

const NUMBER = '(0|[1-9]\\d{0,5})'
const PART = '(?:0|[1-9]\\d{0,8}|\\d{0,8}[a-z][0-9a-z]{0,15})'
const FORM = new RegExp(`^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-(${PART}(?:\\.${PART}){0,3}))?$`)

/** True for a version as releases bear it, such as `1.2.3` or `1.3.0-rc.1`: Semantic Versioning without build data. */
export function isVersion(text: string): boolean {
  return text.length <= MAX_LENGTH && FORM.test(text)
}

/**
 * Which of two versions is the later one, by the precedence of Semantic Versioning 2.0.0 section 11.
 * @param one a text for which {@link isVersion} holds, like `other`
 * @returns a negative number where `one` comes first, a positive one where `other` does, 0 where they are the same
 */
export function compareVersions(one: string, other: string): number {
  const [, ...left] = FORM.exec(one) ?? []
  const [, ...right] = FORM.exec(other) ?? []
  for (let index = 0; index < 3; index++) {
    const difference = Number(left[index]) - Number(right[index])
    if (difference !== 0) return difference
  }
  return comparePreReleases(left[3]?.split('.') ?? [], right[3]?.split('.') ?? [])
}

function comparePreReleases(one: readonly string[], other: readonly string[]): number {
  // What has a pre-release comes before what has none.
  if (one.length === 0 || other.length === 0) return other.length - one.length
  for (const [index, left] of one.entries()) {
    const right = other[index]
    if (right === undefined) return 1
    const difference = compareParts(left, right)
    if (difference !== 0) return difference
  }
  return one.length - other.length
}

function compareParts(one: string, other: string): number {
  const [isNumber, isOtherNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)]
  if (isNumber && isOtherNumber) return Number(one) - Number(other)
  if (isNumber !== isOtherNumber) return isNumber ? -1 : 1
  if (one === other) return 0
  return one < other ? -1 : 1
}
