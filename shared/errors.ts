import { type Actor, ERRORS, type ErrorEntry, EXIT, type Leg } from './error-catalogue.ts'

export { type Actor, ERRORS, type ErrorEntry, EXIT, type Leg }

export type ErrorCode = keyof typeof ERRORS

const BY_WIRE: ReadonlyMap<number, ErrorCode> = new Map(
  (Object.entries(ERRORS) as [ErrorCode, ErrorEntry][]).flatMap(([code, entry]) =>
    entry.wire === undefined ? [] : [[entry.wire, code] as const],
  ),
)

/** What the catalogue says of `code`. */
export function errorEntry(code: ErrorCode): ErrorEntry {
  return ERRORS[code]
}

/** The code of a number from the wire; an unknown number is a peer of a later version, and counts as INTERNAL. */
export function codeFromWire(wire: number): ErrorCode {
  return BY_WIRE.get(wire) ?? 'INTERNAL'
}

/** The number that stands for `code` on the wire; what has none goes out as INTERNAL. */
export function wireFromCode(code: ErrorCode): number {
  return errorEntry(code).wire ?? ERRORS.INTERNAL.wire
}

export interface TunnelErrorOptions extends ErrorOptions {
  /** Overrides the leg of the catalogue where the same code can come from several. */
  readonly leg?: Leg
  /** Overrides the catalogue's next step where a better command is known. */
  readonly next?: string
  /** The member of the input that is not right, as a path with dots; empty for the whole. */
  readonly field?: string
  /** What it has to keep to. */
  readonly rule?: string
}

/**
 * Every failure that Sallyport expects. `message` is the catalogue's sentence with the detail behind it;
 * what reaches a peer is the code and, where the site allows it, the detail: never the cause.
 */
export class TunnelError extends Error {
  readonly code: ErrorCode
  /** What is special about this occurrence; may be empty. Holds no secret. */
  readonly detail: string
  readonly leg: Leg
  readonly next: string
  /** Of bad input: see {@link TunnelErrorOptions}. */
  readonly field: string | undefined
  readonly rule: string | undefined

  constructor(code: ErrorCode, detail = '', options: TunnelErrorOptions = {}) {
    super(detail === '' ? errorEntry(code).text : `${errorEntry(code).text} ${detail}`, options)
    this.name = 'TunnelError'
    this.code = code
    this.detail = detail
    this.leg = options.leg ?? errorEntry(code).leg
    this.next = options.next ?? errorEntry(code).next
    this.field = options.field
    this.rule = options.rule
  }
}

/** True for a TunnelError of this or another copy of the package, so it looks at the shape. */
export function isTunnelError(value: unknown): value is TunnelError {
  return (
    value instanceof Error && 'code' in value && 'leg' in value && Object.hasOwn(ERRORS, String(value.code))
  )
}
