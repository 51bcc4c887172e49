import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { TunnelError } from '../../shared/errors.ts'
import { SYSTEMD } from './names.ts'
import { toolFailure } from './tool.ts'

/** How long the service may take until it is ready, in ms: the unit gives it two minutes. */
const START_MS = 150_000

/** Starts the service when it is told to, with the rights that this process had when it was made. */
export interface Starter extends Disposable {
  /** Starts the service now and at every boot. @throws {TunnelError} SERVICE */
  start(): Promise<void>
}

const SCRIPT = `read -r word && [ "$word" = start ] && systemctl enable ${SYSTEMD.unit} && exec systemctl restart ${SYSTEMD.unit}`

/**
 * A shell that stays root while this process becomes the user of the service, and knows one word. All that comes from outside,
 * the answers of a relay above all, is then read without root's rights.
 */
export function holdStarter(signal: AbortSignal): Starter {
  const child = spawn('/bin/sh', ['-c', SCRIPT], { stdio: 'pipe', signal, timeout: START_MS })
  const exited = once(child, 'close') as Promise<[number | null]>
  // Whoever never starts it does not care how it ended.
  exited.catch(() => {})
  const printed = Promise.all([text(child.stdout), text(child.stderr)]).catch(() => ['', ''])
  child.stdin.on('error', () => {})
  return {
    async start() {
      child.stdin.end('start\n')
      const [status] = await exited
      const [out = '', err = ''] = await printed
      if (status !== 0) {
        throw new TunnelError('SERVICE', toolFailure(`systemctl restart ${SYSTEMD.unit}`, err + out).detail, {
          next: `journalctl -u ${SYSTEMD.unit} -n 50`,
        })
      }
    },
    [Symbol.dispose]: () => {
      child.stdin.end()
    },
  }
}
