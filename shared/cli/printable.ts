/**
 * Control characters of C0 and C1 (terminal escapes, line breaks), line and paragraph separators, and the
 * characters that turn the direction of text: each could forge a line or hide one.
 */
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** `text` as one harmless line: what a terminal would act on is shown as an escape such as `\u001b`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`)
}
