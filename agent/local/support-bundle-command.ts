import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { freemem, loadavg, release, totalmem, uptime, version } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { createOutput, type Output } from '../../shared/cli/output.ts'
import { callControl } from '../../shared/control/call.ts'
import { controlPath } from '../../shared/control/path.ts'
import { realEffects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { PRODUCT_VERSION } from '../../shared/version.ts'
import { rulesPath } from '../agent.ts'
import { examineNetwork } from '../doctor/doctor-command.ts'
import { actAsOwner } from '../service/owner.ts'
import { redact } from './redact.ts'
import { tar } from './tar.ts'

export interface SupportBundleOptions {
  readonly data: string
  readonly out?: string
  readonly logFile?: string
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly output: Output
}

/** Most bytes of one file that go along, taken from its end. */
const MAX_PART_BYTES = 1024 * 1024
/** How long the doctor may take, in ms: every target may hang for its five seconds. */
const DOCTOR_MS = 60_000
const FOLDER = 'sallyport-support'

/**
 * `sallyport agent support-bundle`. The identity is never opened, and all the rest passes a filter that knows the forms of
 * secrets.
 * @throws {TunnelError} CONFIG where the archive cannot be written
 */
export async function supportBundle(options: SupportBundleOptions): Promise<void> {
  const { data, output, out = `${FOLDER}.tar.gz`, logFile = join(data, 'agent.log') } = options
  // Opened first: the owner of the data may have no right to write where the administrator stands.
  await using file = await open(out, 'wx', 0o600).catch((cause: unknown) => {
    throw new TunnelError('CONFIG', `${out} cannot be made.`, {
      cause,
      next: 'choose another name: --out FILE',
    })
  })
  await actAsOwner(data)
  const parts: [string, string][] = [
    ['machine.json', json(machine())],
    ['status.json', await statusText(options)],
    ['doctor.txt', await output.progress('asking the doctor', doctorText(options))],
    ['rules.toml', await tail(rulesPath(data))],
    ['settings.json', await tail(join(data, 'settings.json'))],
    ['agent.log', await tail(logFile)],
  ]
  const entries = parts.map(([name, part]) => ({ name: `${FOLDER}/${name}`, content: redact(part) }))
  await file.writeFile(await promisify(gzip)(tar(entries, realEffects.date())))
  output.result({ file: out, parts: parts.map(([name]) => name) }, [
    `wrote ${out}`,
    ...parts.map(([name]) => `  ${name}`),
    'it holds no key, token or password; it names hosts and ports of this site: look into it before you send it',
    'the log of a service is in its journal: journalctl -u sallyport-agent --since yesterday',
  ])
}

/** What tells machines apart for somebody who looks for a fault; neither its name nor its addresses. */
function machine(): object {
  const { platform, arch, versions } = process
  const memory = { total: totalmem(), free: freemem() }
  const node = { node: versions.node, openssl: versions.openssl }
  const at = new Date(realEffects.date()).toISOString()
  return {
    product: PRODUCT_VERSION,
    at,
    platform,
    arch,
    kernel: [release(), version()],
    ...node,
    memory,
    uptime: uptime(),
    load: loadavg(),
  }
}

async function statusText({ data, signal }: SupportBundleOptions): Promise<string> {
  try {
    return json(await callControl(controlPath(data), 'status', {}, { signal }))
  } catch (err) {
    if (!isTunnelError(err)) throw err
    return json({ error: { code: err.code, message: err.message } })
  }
}

/** What the doctor prints, with the shortest look at idle connections; its failures are part of it. */
async function doctorText({ data, environment, signal }: SupportBundleOptions): Promise<string> {
  const lines = new PassThrough()
  const printed = text(lines)
  const output = createOutput({ json: false, stdout: lines, stderr: lines })
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(DOCTOR_MS)])
  try {
    await examineNetwork({ data, idle: '1', stdin: Readable.from([]), environment, signal: deadline, output })
  } catch (err) {
    signal.throwIfAborted()
    output.fail(err)
  }
  lines.end()
  return printed
}

/** The end of a plain file; what cannot be read says so in its place. A link is not followed. */
async function tail(path: string): Promise<string> {
  try {
    await using file = await open(
      path,
      constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
    )
    const { size } = await file.stat()
    const begin = Math.max(0, size - MAX_PART_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - begin), 0, size - begin, begin)
    const lines = buffer.toString('utf8', 0, bytesRead)
    // A line that was cut could hide half a secret from the filter.
    return begin === 0 ? lines : lines.slice(lines.indexOf('\n') + 1)
  } catch (err) {
    return `(not read: ${(err as NodeJS.ErrnoException).code ?? 'unknown'})\n`
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
