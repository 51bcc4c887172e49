/** One challenge of a Proxy-Authenticate header (RFC 9110 section 11.6.1). */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  /** What stands behind the scheme as one word, as NTLM has it; empty where there is none. */
  readonly token: string
  /** Names in lower case; quoted values without quotes. The first of a name counts. */
  readonly params: ReadonlyMap<string, string>
}

/** Most challenges that are looked at; no proxy offers more than a handful. */
const MAX_CHALLENGES = 16

const SEPARATORS = /[ \t,]*/y
const WORD = /[!#$%&'*+.^_`|~0-9A-Za-z-]+(?=[ \t,]|$)/y
const TOKEN68 = /[ \t]+([A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|$))/y
const PARAM = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^ \t,"]+))/y

/**
 * Reads the values of all Proxy-Authenticate headers of an answer. What cannot be read ends the list: what came before
 * it counts.
 */
export function parseChallenges(values: readonly string[]): Challenge[] {
  const text = values.join(', ')
  const found: { scheme: string; token: string; params: Map<string, string> }[] = []
  let at = 0
  const next = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match !== null) at = pattern.lastIndex
    return match
  }
  for (;;) {
    next(SEPARATORS)
    const current = found.at(-1)
    const param = current === undefined ? null : next(PARAM)
    if (current !== undefined && param !== null) {
      addParam(current.params, param)
      continue
    }
    const word = next(WORD)
    if (word === null || found.length === MAX_CHALLENGES) return found
    found.push({ scheme: word[0].toLowerCase(), token: next(TOKEN68)?.[1] ?? '', params: new Map() })
  }
}

function addParam(params: Map<string, string>, [, name = '', quoted, plain = '']: RegExpExecArray): void {
  const key = name.toLowerCase()
  const value = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1')
  if (!params.has(key)) params.set(key, value)
}
