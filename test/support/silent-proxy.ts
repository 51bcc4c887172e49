import net from 'node:net'

/** A way to the relay that can go silent as a cable that is cut does: nothing is forwarded, nothing is closed. */
export interface SilentProxy extends AsyncDisposable {
  readonly port: number
  /** From now on the connections that there are carry nothing any more, for good; new ones are broken off. */
  silence(): void
  /** New connections carry again. */
  restore(): void
}

/** Forwards from a free port of the loopback to `port`. */
export async function startSilentProxy(port: number): Promise<SilentProxy> {
  const sockets = new Set<net.Socket>()
  const living = new Map<net.Socket, net.Socket>()
  let isCut = false
  const server = net.createServer((near) => {
    if (isCut) {
      near.resetAndDestroy()
      return
    }
    const far = net.connect(port, '127.0.0.1')
    living.set(near, far)
    near.pipe(far)
    far.pipe(near)
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => {
        sockets.delete(socket)
        if (!living.delete(near)) return
        near.destroy()
        far.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    silence() {
      isCut = true
      for (const [near, far] of living) {
        near.unpipe(far).pause()
        far.unpipe(near).pause()
      }
      living.clear()
    },
    restore() {
      isCut = false
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
