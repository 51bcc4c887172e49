import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { realEffects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import { createWindowBudget } from '../../shared/mux/window.ts'
import { DIRECT_NETWORK, type Network } from '../../shared/network/network.ts'
import { Secret } from '../../shared/secret.ts'
import { openClientTunnel } from '../../shared/tunnel/client-tunnel.ts'
import { keepConnected } from '../../shared/tunnel/reconnect.ts'
import type { IdentityFile, SimulatedIdentity } from './many-identities.ts'

/**
 * simulated-agents.ts FILE FROM PORT, for test/faults/many-agents.ts: keeps one session each for the identities of a file of
 * writeIdentities, by the tunnel and the reconnecting of a real agent, and without its rules and targets. Each comes from an
 * address of its own in 127/8, which FROM and the place in the file decide, as agents of different sites do. Prints how many
 * stand, whenever that has changed.
 */

const [path = '', from = '', port = ''] = process.argv.slice(2)
const { ca, serverName, agents } = JSON.parse(readFileSync(path, 'utf8')) as IdentityFile
const address: RelayAddress = { host: '127.0.0.1', port: Number(port) }
const budget = createWindowBudget(64 * 1024 * 1024)
const NOTE_MS = 250

let up = 0
let noted = -1

/** Dials the relay from the address that belongs to `number`. */
function networkOf(number: number): Network {
  const localAddress = `127.${1 + (number >>> 14)}.${(number >>> 7) & 127}.${1 + (number & 127)}`
  return {
    ...DIRECT_NETWORK,
    async reach(target, signal) {
      const socket = net.connect({ host: target.host, port: target.port, localAddress })
      const onAbort = () => socket.destroy(signal.reason as Error)
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        await once(socket, 'connect')
        return socket
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
  }
}

async function run(number: number, { certificate, key }: SimulatedIdentity): Promise<void> {
  const identity = { ca, serverName, certificate, key: new Secret(key), network: networkOf(number) }
  const instance = randomBytes(16)
  await keepConnected({
    effects: realEffects,
    signal: new AbortController().signal,
    connect: (signal) =>
      openClientTunnel({
        path: '/v1/agent',
        address,
        identity: () => identity,
        hello: () => ({ instance }),
        effects: realEffects,
        budget,
        mask: 'zero',
        opening: () => {
          throw new TunnelError('REFUSED')
        },
        signal,
      }),
    onUp(tunnel) {
      up++
      void tunnel.closed.then(() => up--)
    },
    onDown() {},
  })
}

setInterval(() => {
  if (up !== noted) process.stdout.write(`${up}\n`)
  noted = up
}, NOTE_MS)
agents.forEach((agent, index) => void run(Number(from) + index, agent))
