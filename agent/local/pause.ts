import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { readPrivateFile, writePrivateFile } from '../../shared/config/private-file.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { fromJson } from '../../shared/json.ts'

/** That an agent is paused, as it stands in the data directory. */
export interface Pause {
  /** Milliseconds since 1970. */
  readonly since: number
}

const pauseSchema = v.strictObject({
  since: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8.64e15)),
})

/** Where the pause of an agent is kept, so that it outlives the process and the machine's restart. */
export function pausePath(directory: string): string {
  return join(directory, 'paused.json')
}

/**
 * The pause of an agent, or undefined where it works. A file that cannot be understood is a pause all the same: whoever wrote
 * it wanted one.
 * @throws {TunnelError} PERMISSIONS
 */
export async function readPause(directory: string): Promise<Pause | undefined> {
  try {
    const text = await readPrivateFile(pausePath(directory), { followLinks: false })
    const parsed = fromJson(text, pauseSchema)
    return parsed.success ? parsed.output : { since: 0 }
  } catch (err) {
    if (isTunnelError(err) && err.code === 'NOT_FOUND') return undefined
    throw err
  }
}

/** Writes the pause down, or takes it away. It is on the disk when this resolves. */
export async function writePause(directory: string, pause: Pause | undefined): Promise<void> {
  if (pause !== undefined) {
    await writePrivateFile(pausePath(directory), `${JSON.stringify(pause)}\n`)
    return
  }
  await unlink(pausePath(directory)).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT')
      throw new TunnelError('PERMISSIONS', `${pausePath(directory)} stays.`, { cause })
  })
}
