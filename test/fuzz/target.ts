import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type fc from 'fast-check'
import { type ErrorCode, isTunnelError } from '../../shared/errors.ts'

/** A reader of bytes that come from the network, and how it is tried. */
export interface FuzzTarget {
  /** Also the folder of its kept bytes in seeds/. */
  readonly name: string
  /** Bytes of the kinds that find faults: right ones, right ones with damage, and noise. */
  readonly inputs: fc.Arbitrary<Uint8Array>
  /** Gives the bytes, which it may change, to the reader. Throws where that did what it must not. */
  check(bytes: Uint8Array): void | Promise<void>
}

/** No input takes longer than this to be read or refused, in ms of this process's own time. */
const MAX_MS = 1_000

const SEEDS = new URL('seeds/', import.meta.url)

/** Checks one input. @throws {Error} with the bytes in hexadecimal where something is wrong, to be kept in seeds/ */
export async function checkInput(target: FuzzTarget, bytes: Uint8Array): Promise<void> {
  const hex = Buffer.from(bytes).toString('hex')
  const before = process.cpuUsage()
  try {
    await target.check(bytes)
    const { user, system } = process.cpuUsage(before)
    const took = (user + system) / 1_000
    if (took > MAX_MS) throw new Error(`took ${Math.round(took)} ms`)
  } catch (cause) {
    throw new Error(`keep this in test/fuzz/seeds/${target.name}: ${hex}`, { cause })
  }
}

/** Bytes that a target once got wrong, or that are worth trying each time, by file name. */
export function keptInputs(target: FuzzTarget): [name: string, bytes: Uint8Array][] {
  const folder = new URL(`${target.name}/`, SEEDS)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.hex'))
    .map((name) => {
      const hex = readFileSync(new URL(name, folder), 'utf8').replace(/#.*|\s/g, '')
      return [name, Uint8Array.from(Buffer.from(hex, 'hex'))]
    })
}

/** What `read` gives, or undefined where it refused with one of `codes`; any other failure is thrown on. */
export function readOrRefused<T>(codes: readonly ErrorCode[], read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isTunnelError(error) && codes.includes(error.code)) return undefined
    throw error
  }
}

/** The same for what takes its time. */
export async function awaitOrRefused<T>(
  codes: readonly ErrorCode[],
  promise: Promise<T>,
): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (isTunnelError(error) && codes.includes(error.code)) return undefined
    throw error
  }
}
