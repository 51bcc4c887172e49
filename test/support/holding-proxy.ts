import net from 'node:net'

/** A way to the relay that can keep back what the relay sends, or what is sent to it. */
export interface HoldingProxy extends AsyncDisposable {
  readonly port: number
  /** What comes from that side goes no further; it is lost when the connections break. */
  hold(from: 'relay' | 'client'): void
  /** Breaks every connection with a reset, and new ones until `open`. */
  close(): void
  open(): void
}

/** Forwards from a free port of the loopback to `port`. */
export async function startHoldingProxy(port: number): Promise<HoldingProxy> {
  const pairs = new Set<{ readonly near: net.Socket; readonly far: net.Socket }>()
  let isOpen = true
  const server = net.createServer((near) => {
    near.on('error', () => undefined)
    if (!isOpen) {
      near.resetAndDestroy()
      return
    }
    const far = net.connect(port, '127.0.0.1')
    far.on('error', () => undefined)
    const pair = { near, far }
    pairs.add(pair)
    near.pipe(far).pipe(near)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.once('close', () => {
        pairs.delete(pair)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const breakAll = () => {
    for (const { near, far } of [...pairs]) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
  }
  return {
    port: (server.address() as net.AddressInfo).port,
    hold(from) {
      for (const { near, far } of pairs) {
        const [source, target] = from === 'relay' ? [far, near] : [near, far]
        source.unpipe(target).pause()
      }
    },
    close() {
      isOpen = false
      breakAll()
    },
    open() {
      isOpen = true
    },
    async [Symbol.asyncDispose]() {
      isOpen = false
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      breakAll()
      await closed
    },
  }
}
