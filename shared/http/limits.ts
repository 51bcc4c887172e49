/** Bounds of one exchange. Times are milliseconds; a limit of time strikes between one and two times its length. */
export interface HttpLimits {
  /** Header lines of a request or an answer. */
  readonly maxHeaders: number
  /** Bytes of an answer's header section. */
  readonly maxAnswerHeaderBytes: number
  /** Without a byte of a request body that the next hop would take. */
  readonly requestIdleMs: number
  /** From the complete request to the head of the answer. */
  readonly answerMs: number
  /** Without the client taking a byte of an answer that waits for it. A silent answer may last for ever. */
  readonly stallMs: number
}

/** Fit for a public listener: long reports, event streams and downloads of any length pass. */
export const HTTP_LIMITS: HttpLimits = {
  maxHeaders: 200,
  maxAnswerHeaderBytes: 64 * 1024,
  requestIdleMs: 60_000,
  answerMs: 300_000,
  stallMs: 300_000,
}
