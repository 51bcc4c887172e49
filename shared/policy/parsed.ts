/** What a parser of this room answers: the value, or why there is none. The reason holds no input text. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string }

/** The answer that holds `value`. */
export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value }
}

/** The answer that says why there is no value. */
export function refused(reason: string): Parsed<never> {
  return { ok: false, reason }
}
