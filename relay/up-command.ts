import { hostname } from 'node:os'
import { aborted } from '../shared/abort.ts'
import { parseListenAddress } from '../shared/cli/listen-address.ts'
import type { Output } from '../shared/cli/output.ts'
import { parseDuration } from '../shared/config/duration.ts'
import { controlPath } from '../shared/control/path.ts'
import { serveControl } from '../shared/control/serve.ts'
import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { isServerName } from '../shared/identity/relay-address.ts'
import { createLog } from '../shared/log.ts'
import { parseStatement } from '../shared/release/statement.ts'
import { formatListening } from '../shared/tunnel/tcp-listener.ts'
import { AGENT_LIFETIME } from './authority/authority.ts'
import { readBackupPlan, scheduleBackups } from './backup/schedule.ts'
import { controlHandlers } from './control.ts'
import { type DoorFlags, readDoorFlags, readRange } from './gateway/door-flags.ts'
import { collectMetrics } from './metrics/collect.ts'
import { formatMetrics, METRICS_TYPE } from './metrics/exposition.ts'
import { watchLoopDelay } from './metrics/loop-delay.ts'
import { serveMetrics } from './metrics/serve.ts'
import { firstOwnerLink } from './people/first-owner.ts'
import { setupText } from './people-command.ts'
import { startRelay } from './relay.ts'

export interface UpOptions extends DoorFlags {
  readonly data: string
  readonly listen: string
  readonly name?: string
  readonly certificateLife?: string
  readonly keyCommand?: string
  readonly requireRelease?: string
  readonly metrics?: string
  readonly deliveryRange?: readonly string[]
  readonly backupDir?: string
  readonly backupPassphraseFile?: string
  readonly ssoInside?: readonly string[]
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug'
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport relay up`: runs until the signal aborts, then drains. */
export async function up(options: UpOptions): Promise<void> {
  const { signal, output, data } = options
  const listen = parseListenAddress(options.listen)
  const metricsAddress = options.metrics === undefined ? undefined : parseListenAddress(options.metrics)
  const log = createLog({ level: options.logLevel })
  const plan = await readBackupPlan(options)
  const relay = await startRelay({
    directory: data,
    listen,
    name: relayName(options.name, listen.host),
    effects: realEffects,
    log,
    keyCommand: options.keyCommand,
    backups: plan,
    sso: { insideHosts: new Set((options.ssoInside ?? []).map((host) => host.toLowerCase())) },
    ...readDoorFlags(options),
    deliveryRanges: (options.deliveryRange ?? []).map((text) => readRange('--delivery-range', text)),
    requiredRelease:
      options.requireRelease === undefined ? undefined : parseStatement(options.requireRelease),
    ...(options.certificateLife === undefined
      ? {}
      : { agentLifetimeMs: parseDuration(options.certificateLife, AGENT_LIFETIME) }),
  })
  try {
    using loopDelay = watchLoopDelay(realEffects)
    const { audit } = relay.trail
    const { backups } = relay
    await using _backups = backups && scheduleBackups({ backups, effects: realEffects, audit, log })
    const metrics = () => formatMetrics(collectMetrics(relay, loopDelay))
    await using scraped = metricsAddress && (await serveMetrics(metricsAddress, metrics))
    await using _control = await serveControl(controlPath(data), controlHandlers(relay), {
      signal,
      pages: { '/metrics': () => ({ type: METRICS_TYPE, body: metrics() }) },
      onFault: (err, method) => log.error({ err, method }, 'control request failed'),
    })
    const address = formatListening(relay.address.host, relay.address.port)
    output.result({ event: 'listening', address, data }, `relay at ${address}, data in ${data}`)
    if (metricsAddress !== undefined && scraped !== undefined) {
      const at = formatListening(metricsAddress.host, scraped.port)
      output.result({ event: 'metrics', address: at }, `metrics at http://${at}/metrics`)
    }
    const setup = await firstOwnerLink(relay.people)
    if (setup !== undefined) output.result({ event: 'setup', ...setup }, setupText(setup.url))
    output.result({ event: 'ready' }, 'ready')
    await aborted(signal)
    output.note('draining: streams may end within 10 s (Ctrl-C again ends at once)')
  } finally {
    await relay.stop()
  }
}

/**
 * The name in the relay's certificate and in join strings: what was said, else the address listened on, else this host's.
 * @throws {TunnelError} CONFIG
 */
function relayName(name: string | undefined, listenHost: string): string {
  const isWildcard = listenHost === '0.0.0.0' || listenHost === '::'
  const chosen = (name ?? (isWildcard ? hostname() : listenHost)).toLowerCase()
  if (isServerName(chosen)) return chosen
  throw new TunnelError('CONFIG', `${chosen} is no DNS name or address.`, {
    next: 'sallyport relay up --name relay.example.com',
  })
}
