/** Shorter ones are in everything. */
const LENGTH_MIN = 3

/** Longer ones are looked for as a whole only. */
const LENGTH_MAX = 32

/** How many characters beside common passwords make one that is not common any more. */
const OTHERS_MIN = 4

/** What that list lacks: the product's own name, and what is common elsewhere. */
const FURTHER = ['sallyport', 'abcdefghijkl', 'abcdefghijklm', 'correcthorsebatterystaple', 'qwertzuiop']

/** Years that people put behind a word. */
const YEARS = { from: 1940, to: 2039 } as const

let loading: Promise<ReadonlySet<string>> | undefined

/** Some 50,000 passwords that leaked most often, in lower case. Loaded once, when the first password is set: 5 MiB. */
export function commonPasswords(): Promise<ReadonlySet<string>> {
  loading ??= import('@zxcvbn-ts/language-common').then(({ dictionary }) => {
    const years = Array.from({ length: YEARS.to - YEARS.from + 1 }, (_, index) => String(YEARS.from + index))
    const leaked = dictionary['passwords-common'].map((one) => String(one).toLowerCase())
    return new Set([...leaked, ...FURTHER, ...years])
  })
  return loading
}

/**
 * Whether a password is common, or no more than two common ones and less than four characters beside. Of those that leak most,
 * few have the twelve characters that are asked for here; what people make of the short ones to get there is this.
 * @param text in lower case
 */
export function isMadeOfCommon(text: string, common: ReadonlySet<string>): boolean {
  if (common.has(text)) return true
  // The longest one that ends before, and that begins behind each place.
  const before = Array.from({ length: text.length + 1 }, () => 0)
  const behind = [...before]
  for (const { from, to } of commonParts(text, common)) {
    before[to] = Math.max(before[to] ?? 0, to - from)
    behind[from] = Math.max(behind[from] ?? 0, to - from)
  }
  for (let at = 1; at <= text.length; at++) before[at] = Math.max(before[at] ?? 0, before[at - 1] ?? 0)
  for (let at = text.length - 1; at >= 0; at--) behind[at] = Math.max(behind[at] ?? 0, behind[at + 1] ?? 0)
  const covered = Math.max(...before.map((length, at) => length + (behind[at] ?? 0)))
  return text.length - covered < OTHERS_MIN
}

function* commonParts(text: string, common: ReadonlySet<string>) {
  for (let from = 0; from + LENGTH_MIN <= text.length; from++) {
    const last = Math.min(from + LENGTH_MAX, text.length)
    for (let to = from + LENGTH_MIN; to <= last; to++)
      if (common.has(text.slice(from, to))) yield { from, to }
  }
}
