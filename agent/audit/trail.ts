import { type FileHandle, open, readFile as readWhole, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { makePrivateDirectory } from '../../shared/config/private-file.ts'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { auditDirectory, auditFileName, auditFiles, readFile } from './read.ts'
import { type AgentEvent, type AgentFileHead, type ChainEnd, EMPTY_CHAIN, linkAgentRecord } from './record.ts'

/** Limits of the agent's chain. */
export const AGENT_TRAIL_LIMITS = {
  /** Longest that a record waits for the disk, in ms: the most that a crash can take with it. */
  waitMs: 1_000,
  /** Records that wait where the disk fails; beyond, they are counted only. */
  queue: 16_384,
  /** A file of this size in bytes is followed by another. */
  fileBytes: 16 * 1024 * 1024,
  /** How many files are kept; the oldest goes. */
  files: 32,
} as const

/** Records that are linked and written out between two turns of everything else: a millisecond or two. */
const PER_TURN = 128

export interface AgentTrailOptions {
  /** Data directory of the agent. */
  readonly data: string
  readonly agentId: string
  readonly effects: Pick<Effects, 'date' | 'after'>
  readonly log: Logger
  readonly limits?: Partial<Record<keyof typeof AGENT_TRAIL_LIMITS, number>>
}

/** Takes an event; never throws, never waits. */
export type AgentAudit = (event: AgentEvent) => void

interface Waiting {
  readonly event: AgentEvent
  readonly time: number
}

/**
 * What an agent let in, as a chain of its own: the relay cannot say otherwise afterwards. Records are written together, on the disk
 * within a second.
 */
export class AgentTrail {
  readonly #options: AgentTrailOptions
  readonly #limits: Record<keyof typeof AGENT_TRAIL_LIMITS, number>
  #end: ChainEnd = EMPTY_CHAIN
  #file: FileHandle | undefined
  #size = 0
  #queue: Waiting[] = []
  #lost = 0
  #cancel: (() => void) | undefined
  #writing: Promise<void> = Promise.resolve()
  #isFailing = false

  private constructor(options: AgentTrailOptions) {
    this.#options = options
    this.#limits = { ...AGENT_TRAIL_LIMITS, ...options.limits }
  }

  /**
   * Goes on where the chain ends. A line that a crash left half is taken off; a chain that was changed is told and goes on all the
   * same, since an agent that does not start helps nobody: `agent audit verify` names the record.
   */
  static async open(options: AgentTrailOptions): Promise<AgentTrail> {
    const trail = new AgentTrail(options)
    const directory = auditDirectory(options.data)
    await makePrivateDirectory(directory)
    const last = (await auditFiles(directory)).at(-1)
    const agentId = last === undefined ? undefined : await trail.#continue(last)
    if (agentId !== options.agentId) {
      // Its records begin a file of their own, which says whose they are.
      trail.#size = trail.#limits.fileBytes
      trail.audit({ action: 'agent.join', object: options.agentId, outcome: 'OK' })
    }
    return trail
  }

  /** Bound, to be handed on. */
  readonly audit: AgentAudit = (event) => {
    if (this.#queue.length >= this.#limits.queue) this.#lost++
    else this.#queue.push({ event, time: this.#options.effects.date() })
    this.#cancel ??= this.#options.effects.after(this.#limits.waitMs, () => void this.flush())
  }

  /** Resolves when everything so far is on the disk, or could not be. Never rejects. */
  flush(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async stop(): Promise<void> {
    this.audit({ action: 'agent.stop', object: '', outcome: 'OK' })
    await this.flush()
    this.#cancel?.()
    await this.#file?.close()
  }

  /** @returns whose file it is */
  async #continue(path: string): Promise<string | undefined> {
    const whole = await readWhole(path)
    const length = whole.lastIndexOf(0x0a) + 1
    if (length < whole.length) await truncate(path, length)
    let agentId: string | undefined
    try {
      const head = JSON.parse(whole.toString('utf8', 0, whole.indexOf(0x0a))) as AgentFileHead
      agentId = head.agent
      this.#end = { seq: head.first - 1, hash: head.before }
      for await (const { seq, hash } of readFile(path, undefined)) this.#end = { seq, hash }
    } catch (err) {
      this.#options.log.error(
        { err, path },
        isTunnelError(err) ? 'the audit chain was changed' : 'the audit chain cannot be read',
      )
    }
    this.#file = await open(path, 'a', 0o600)
    this.#size = length
    return agentId
  }

  async #write(): Promise<void> {
    if (this.#lost > 0 && this.#queue.length < this.#limits.queue) {
      const event = { action: 'audit.lost', object: `${this.#lost}`, outcome: 'DISK' } as const
      this.#queue.push({ event, time: this.#options.effects.date() })
      this.#lost = 0
    }
    const batch = [...this.#queue]
    if (batch.length === 0) return
    let end = this.#end
    const lines: string[] = []
    for (const { event, time } of batch) {
      const record = linkAgentRecord(event, end, time)
      end = { seq: record.seq, hash: record.hash }
      // Streams get their turn between.
      if (lines.push(`${JSON.stringify(record)}\n`) % PER_TURN === 0) await setImmediate()
    }
    try {
      const file = await this.#fileToWrite()
      const bytes = Buffer.from(lines.join(''))
      await file.appendFile(bytes)
      await file.sync()
      this.#size += bytes.length
      this.#end = end
      this.#queue = this.#queue.slice(batch.length)
      this.#isFailing = false
    } catch (err) {
      if (!this.#isFailing) this.#options.log.error({ err }, 'audit records wait for the disk')
      this.#isFailing = true
      // What may have been written in part must not stand before the same records again.
      await this.#file?.truncate(this.#size).catch(() => undefined)
      this.#cancel ??= this.#options.effects.after(this.#limits.waitMs, () => void this.flush())
    }
  }

  async #fileToWrite(): Promise<FileHandle> {
    if (this.#file !== undefined && this.#size < this.#limits.fileBytes) return this.#file
    const directory = auditDirectory(this.#options.data)
    const head: AgentFileHead = {
      format: 'sallyport agent audit 1',
      agent: this.#options.agentId,
      first: this.#end.seq + 1,
      before: this.#end.hash,
    }
    const next = await open(join(directory, auditFileName(head.first)), 'a', 0o600)
    const line = `${JSON.stringify(head)}\n`
    await next.truncate(0)
    await next.appendFile(line)
    await this.#file?.close()
    this.#file = next
    this.#size = Buffer.byteLength(line)
    const files = await auditFiles(directory)
    for (const old of files.slice(0, Math.max(files.length - this.#limits.files, 0))) await unlink(old)
    return next
  }
}
