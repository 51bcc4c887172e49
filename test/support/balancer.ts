import net from 'node:net'

/** From where a balancer comes to the relay; the tests themselves come from 127.0.0.1. */
export const BALANCER = '127.0.0.2'

/** A load balancer of the loopback. */
export interface Balancer extends AsyncDisposable {
  readonly port: number
}

export interface BalancerOptions {
  /** Of the relay. */
  readonly port: number
  /** What it says at the start of each connection. */
  readonly header: () => Uint8Array
  /** The header, and what the client says first, go out byte by byte in as many packets. */
  readonly isSlow?: boolean
}

/** Brings connections to the relay, each with a header of the PROXY protocol in one packet with what the client says first. */
export async function startBalancer({ port, header, isSlow = false }: BalancerOptions): Promise<Balancer> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const onward = net.connect({
      port,
      host: '127.0.0.1',
      localAddress: BALANCER,
      noDelay: true,
      allowHalfOpen: true,
    })
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => undefined)
      one.once('close', (isBroken) => {
        sockets.delete(one)
        if (isBroken) other.resetAndDestroy()
        else other.destroy()
      })
    }
    client.once('data', (first) => {
      const bytes = Buffer.concat([header(), first])
      if (isSlow) for (const byte of bytes) onward.write(Buffer.of(byte))
      else onward.write(bytes)
      client.pipe(onward)
    })
    onward.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
