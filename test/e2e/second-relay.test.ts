import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import { startRelay } from '../../relay/relay.ts'
import { realEffects } from '../../shared/effects.ts'
import { formatRelayAddress, type RelayAddress } from '../../shared/identity/relay-address.ts'
import { eventually } from '../support/deadline.ts'
import { recordLog } from '../support/recorded-log.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { transfer, transferTarget } from './survival-kit.ts'

const MIB = 1_048_576

/** A relay of the same authority, on a copy of the data; until relays share a store, this is how there are two. */
async function startTwin(kit: RelayKit) {
  await kit.stopRelay()
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-twin-'))
  await cp(kit.directory, directory, { recursive: true })
  await kit.startAgain()
  const relay = await startRelay({
    directory,
    listen: { host: '127.0.0.1', port: 0 },
    name: '127.0.0.1',
    effects: realEffects,
    log: recordLog().log,
  })
  return {
    relay,
    async [Symbol.asyncDispose]() {
      await relay.stop(0)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** As an administrator who was told of the second relay. */
async function setAddresses(directory: string, addresses: readonly RelayAddress[]): Promise<void> {
  const path = join(directory, 'settings.json')
  const settings = JSON.parse(await readFile(path, 'utf8')) as object
  const relays = addresses.map(formatRelayAddress)
  await writeFile(path, JSON.stringify({ ...settings, relays }), { mode: 0o600 })
}

describe('with two relays of one authority', () => {
  it('F02: an agent keeps a session with each, and a stream moves from the one that is lost to the other', async () => {
    await using kit = await startKit()
    await using target = await transferTarget()
    const directory = await kit.joinedDirectory()
    const credentials = await kit.credentials('app', 'berlin/bulk')
    await using twin = await startTwin(kit)
    const addresses = [kit.relay.address, twin.relay.address]
    await setAddresses(directory, addresses)
    await kit.startAgent({ directory, rules: { bulk: target.port } })
    await eventually(
      () => [kit.relay, twin.relay].every((relay) => relay.sessions.list().length === 1),
      'a session with each',
    )
    const connector = await kit.connect({ ...credentials, addresses })
    const streams = Array.from({ length: 6 }, () => connector.connect('berlin/bulk'))
    const begun = new Set<Duplex>()
    for (const stream of streams) stream.once('data', () => begun.add(stream))
    const transfers = streams.map((stream) => transfer(stream, 4 * MIB, 4 * MIB))
    await eventually(() => begun.size === streams.length, 'all have begun')
    await kit.stopRelay(0)
    await Promise.all(transfers)
  })
})
