import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sallyport, startSallyport } from '../support/command-line.ts'

/** A relay and a target on this machine, for agents in containers that share its network. */
export interface Outside extends AsyncDisposable {
  /** Data directory of the relay. */
  readonly data: string
  /** Sends back what it gets. */
  readonly targetPort: number
  joinString(site: string): Promise<string>
  isConnected(site: string): Promise<boolean>
}

export async function startOutside(): Promise<Outside> {
  const data = await mkdtemp(join(tmpdir(), 'sallyport-service-'))
  const relay = startSallyport(['relay', 'up', '--data', data, '--listen', '127.0.0.1:0', '--json'])
  while ((await relay.line()).event !== 'ready');
  const target = createServer((socket) => void socket.on('error', () => {}).pipe(socket))
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  const ask = async (...args: string[]) =>
    JSON.parse((await sallyport(['relay', ...args, '--data', data, '--json'])).out)
  return {
    data,
    targetPort: portOf(target),
    joinString: async (site) => (await ask('join-token', site)).joinString,
    isConnected: async (site) =>
      (await ask('status')).sessions.some(({ name }: { name: string }) => name === site),
    async [Symbol.asyncDispose]() {
      target.close()
      await relay.stop()
      await rm(data, { recursive: true, force: true })
    },
  }
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
