import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { dialRelay } from '../../shared/tunnel/dial-relay.ts'
import { intervalUnder, PING_INTERVAL_MS } from '../../shared/tunnel/liveness.ts'
import { writePingInterval } from '../settings.ts'
import { ask, connectAgain } from './ask.ts'
import type { PathContext } from './context.ts'
import { type Finding, ok, skipped, warn } from './finding.ts'
import {
  type HeldConnection,
  IDLE_QUICK_SECONDS,
  type IdleEnd,
  type IdleResult,
  measureIdle,
  rungsUpTo,
} from './idle.ts'
import { pingOver } from './ping.ts'

/** How long an answer may take after a silence, in ms. */
const ANSWER_MS = 5_000

/** A relay gives whoever has not joined so long in seconds to say something, and a bit more. */
const STRANGER_SECONDS = 8

/** First byte of a CLOSE (RFC 6455 section 5.5.1). */
const CLOSE = 0x88

/** The longest silence of an agent on the default interval, in ms: a path that bears it needs nothing. */
const NEEDED_MS = PING_INTERVAL_MS * 1.2

/** Finds out after how much silence the path is cut, and has the agent ask sooner where that is needed. */
export async function checkIdle(context: PathContext): Promise<readonly Finding[]> {
  const { effects, signal, client, seen, idleSeconds, directory } = context
  const isStranger = client === undefined || seen.isRelay !== true
  const seconds = isStranger ? Math.min(idleSeconds, STRANGER_SECONDS) : idleSeconds
  const open = isStranger ? () => holdConnection(context) : () => holdUpgraded(context)
  const result = await measureIdle(rungsUpTo(seconds), { open, effects, signal })
  const pingIntervalMs = intervalFor(result)
  if (directory !== undefined && pingIntervalMs !== 'unchanged')
    await writePingInterval(directory, pingIntervalMs)
  return readIdle(result, {
    isStranger,
    isStored: directory !== undefined && typeof pingIntervalMs === 'number',
  })
}

/** A connection that the relay holds for an agent without a word. */
async function holdUpgraded({
  address,
  serverName,
  expected,
  client,
  effects,
  signal,
  network,
}: PathContext): Promise<HeldConnection> {
  if (client === undefined || expected.kind !== 'certificate') throw new Error('only who has joined is held')
  const identity = { ...client, serverName, ca: expected.pem, network }
  const socket = await dialRelay(address, '/v1/idle', identity, signal)
  const { promise, resolve } = Promise.withResolvers<IdleEnd>()
  const onData = (chunk: Buffer) => {
    if (chunk[0] === CLOSE) resolve('refused')
  }
  watchEnd(socket, resolve)
  socket.on('data', onData).resume()
  return {
    ended: promise,
    ask: async () => (await pingOver(socket, { effects, signal, limitMs: ANSWER_MS })) !== undefined,
    close: () => socket.destroy(),
  }
}

/** A connection on which a request comes late: all that a relay allows to whoever has not joined. */
async function holdConnection(context: PathContext): Promise<HeldConnection> {
  const socket: TLSSocket = await connectAgain(context)
  const { promise, resolve } = Promise.withResolvers<IdleEnd>()
  watchEnd(socket, resolve)
  socket.resume()
  return {
    ended: promise,
    async ask() {
      const late = new AbortController()
      const cancel = context.effects.after(ANSWER_MS, () => late.abort())
      const limit = AbortSignal.any([context.signal, late.signal])
      const answered = ask({ ...context, signal: limit }, socket, '/healthz')
      return answered
        .then(
          () => true,
          () => false,
        )
        .finally(cancel)
    },
    close: () => socket.destroy(),
  }
}

function watchEnd(socket: Socket, resolve: (end: IdleEnd) => void): void {
  socket.on('error', () => resolve('reset'))
  socket.once('end', () => resolve('closed'))
  socket.once('close', (hadError) => resolve(hadError ? 'reset' : 'closed'))
}

/** What the agent's settings should say: a shorter interval, or none of its own where the path needs none. */
export function intervalFor({ heldMs, cut }: IdleResult): number | undefined | 'unchanged' {
  if (heldMs >= NEEDED_MS) return undefined
  if (cut === undefined) return 'unchanged'
  // A reset says when it came: the path bore the silence until just before.
  const borneMs = cut.how === 'silent' ? heldMs : Math.max(heldMs, cut.ms * 0.9)
  return borneMs >= NEEDED_MS ? undefined : intervalUnder(borneMs)
}

/** What the measuring means. */
export function readIdle(
  result: IdleResult,
  { isStranger, isStored }: { isStranger: boolean; isStored: boolean },
): readonly Finding[] {
  const { heldMs, cut, rungs } = result
  const evidence = { heldMs, cut, rungs }
  if (rungs.some(({ outcome }) => outcome === 'refused')) {
    return [skipped('the relay ended the connections that were to be held, so nothing was measured')]
  }
  if (cut === undefined)
    return [
      {
        ...ok(`a connection may be silent for ${heldMs / 1_000} s at least${more(heldMs, isStranger)}`),
        evidence,
      },
    ]
  const how = cut.how === 'silent' ? 'without a word' : cut.how === 'reset' ? 'with a reset' : 'by closing it'
  const when =
    heldMs === 0
      ? `within ${seconds(cut.ms)}`
      : cut.how === 'silent'
        ? `after ${seconds(heldMs)} to ${seconds(cut.ms)}`
        : `after ${seconds(cut.ms)}`
  const text = `the path cuts a silent connection ${when}, ${how}`
  const interval = intervalFor(result)
  if (typeof interval !== 'number')
    return [
      {
        ...ok(`${text}: the agent breaks the silence every ${PING_INTERVAL_MS / 1_000} s, so that is enough`),
        evidence,
      },
    ]
  const done = isStored
    ? `the agent breaks it every ${seconds(interval)} from its next start on (pingIntervalMs in settings.json)`
    : 'an agent that has joined breaks the silence more often by itself'
  return [
    warn(
      'SESSION_LOST',
      `${text}; ${done}`,
      'the network team: let silent connections to this address live for at least 60 s (idle timeout of firewall, NAT and proxy)',
      evidence,
    ),
  ]
}

function more(heldMs: number, isStranger: boolean): string {
  if (isStranger) return '; a relay lets only an agent that has joined be silent for longer'
  return heldMs <= IDLE_QUICK_SECONDS * 1_000 ? '; for longer silences: --idle full' : ''
}

function seconds(ms: number): string {
  return `${ms >= 10_000 ? Math.round(ms / 1_000) : Math.round(ms / 100) / 10} s`
}
