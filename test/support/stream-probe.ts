import assert from 'node:assert/strict'
import type { ErrorCode, TunnelError } from '../../shared/errors.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import type { StreamHandler } from '../../shared/mux/stream-handler.ts'

/** Byte number `offset` of the stream that `seed` names. */
export function patternByte(seed: number, offset: number): number {
  return (seed * 31 + offset * 7 + (offset >> 8) * 13) & 0xff
}

export function pattern(seed: number, from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = patternByte(seed, from + index)
  return bytes
}

/** How many chunks were given to streams and not released yet. */
export interface Ledger {
  unreleased: number
}

/**
 * The owner of one end of a stream: it writes a known pattern, checks every byte that comes against another one, and fails
 * the test when a stream breaks the promises of StreamHandler.
 */
export class StreamProbe implements StreamHandler {
  stream: Stream | undefined
  /** Seed of the pattern that is expected from the far end. */
  readonly expects: number
  readonly writes: number
  readonly meta: Uint8Array[] = []
  received = 0
  consumed = 0
  written = 0
  ends = 0
  writables = 0
  stops: ErrorCode[] = []
  /** Undefined while it lives, null after a clean end. */
  closedWith: TunnelError | null | undefined
  /** Whether bytes are consumed as they come. */
  isEager = true
  readonly #ledger: Ledger

  constructor(options: { expects: number; writes: number; ledger: Ledger }) {
    this.expects = options.expects
    this.writes = options.writes
    this.#ledger = options.ledger
  }

  get live(): Stream {
    assert.ok(this.stream !== undefined, 'the stream is not there yet')
    return this.stream
  }

  get code(): ErrorCode | undefined {
    return this.closedWith?.code
  }

  /** Writes the next `length` bytes of the pattern, in pieces of `piece`. */
  write(length: number, piece = length): void {
    for (let done = 0; done < length; done += piece) {
      const size = Math.min(piece, length - done)
      let isReleased = false
      this.#ledger.unreleased++
      this.live.write(pattern(this.writes, this.written, size), () => {
        assert.equal(isReleased, false, 'a chunk was released twice')
        isReleased = true
        this.#ledger.unreleased--
      })
      this.written += size
    }
  }

  /** Consumes up to `length` bytes of what came. */
  consume(length: number): void {
    const some = Math.min(length, this.received - this.consumed)
    this.consumed += some
    this.live.consume(some)
  }

  opened(meta: Uint8Array): void {
    this.#mustLive('opened')
    this.meta.push(meta.slice())
  }

  data(bytes: Uint8Array): void {
    this.#mustLive('data')
    assert.equal(this.ends, 0, 'data after the end')
    assert.ok(bytes.length > 0, 'empty data')
    for (let index = 0; index < bytes.length; index++) {
      if (bytes[index] === patternByte(this.expects, this.received + index)) continue
      assert.fail(`byte ${this.received + index} is wrong`)
    }
    this.received += bytes.length
    if (this.isEager) this.consume(bytes.length)
  }

  ended(): void {
    this.#mustLive('ended')
    this.ends++
    assert.equal(this.ends, 1, 'ended twice')
  }

  writable(): void {
    this.#mustLive('writable')
    this.writables++
  }

  stopped(code: ErrorCode): void {
    this.#mustLive('stopped')
    this.stops.push(code)
  }

  closed(error: TunnelError | null): void {
    this.#mustLive('closed')
    this.closedWith = error
  }

  #mustLive(call: string): void {
    assert.equal(this.closedWith, undefined, `${call} after closed`)
  }
}
