import { readFileSync } from 'node:fs'
import type { ControlFrame } from '../../../shared/mux/frame.ts'

/** A DATA frame put together again; the reader passes it on in pieces. */
export interface DataFrame {
  readonly type: 'DATA'
  readonly id: number
  readonly flags: number
  readonly offset: number
  readonly bytes: Uint8Array
}

export type AnyFrame = ControlFrame | DataFrame

interface VectorFile {
  readonly valid: { name: string; hex: string; frame: Record<string, unknown> }[]
  readonly invalid: { name: string; hex: string; pad?: number; error: string }[]
}

/** Fields that are hex in the file and bytes here. */
const BYTE_FIELDS = new Set(['bytes', 'meta', 'earlyData', 'opaque'])

/** Fresh memory, so that no test sees what another one wrote. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** test/vectors/frames.json with the bytes decoded. */
export function loadFrameVectors(): {
  valid: { name: string; bytes: Uint8Array; frame: AnyFrame }[]
  invalid: { name: string; bytes: Uint8Array; error: string }[]
} {
  const file = JSON.parse(
    readFileSync(new URL('../../vectors/frames.json', import.meta.url), 'utf8'),
  ) as VectorFile
  return {
    valid: file.valid.map(({ name, hex, frame }) => ({
      name,
      bytes: fromHex(hex),
      frame: Object.fromEntries(
        Object.entries(frame).map(([key, value]) => [
          key,
          BYTE_FIELDS.has(key) ? fromHex(value as string) : value,
        ]),
      ) as unknown as AnyFrame,
    })),
    invalid: file.invalid.map(({ name, hex, pad, error }) => ({
      name,
      bytes: fromHex(hex + '00'.repeat(pad ?? 0)),
      error,
    })),
  }
}
