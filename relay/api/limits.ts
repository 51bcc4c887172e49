/** What callers and addresses may ask, and how long. */
export interface ApiLimits {
  /** Requests of one caller in a second on average, and at once. */
  readonly callerPerSecond: number
  readonly callerBurst: number
  /** Requests of one IPv4 address or IPv6 /64, whoever they are from. */
  readonly addressPerSecond: number
  readonly addressBurst: number
  /** For the body of a request, in ms. */
  readonly bodyMs: number
  /** For an operation, in ms. */
  readonly operationMs: number
  /** Answers by a stream at a time: in all, and of one caller. */
  readonly streams: number
  readonly streamsPerCaller: number
}

export const API_LIMITS: ApiLimits = {
  callerPerSecond: 50,
  callerBurst: 200,
  addressPerSecond: 100,
  addressBurst: 400,
  bodyMs: 10_000,
  operationMs: 60_000,
  streams: 256,
  streamsPerCaller: 8,
}
