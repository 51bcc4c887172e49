import net from 'node:net'

/**
 * The ends of bulk streams in a process of their own, so that their work is not in the way of what a test measures:
 * bulk-ends.ts serve prints a port that sends without end; bulk-ends.ts drink PORT COUNT reads there on COUNT connections and
 * prints how many bytes have come, each second.
 */

const [role = '', port = '', count = ''] = process.argv.slice(2)
const BLOCK = Buffer.alloc(65_536)
const NOTE_MS = 1_000

function pour(socket: net.Socket): void {
  const more = () => {
    while (!socket.destroyed && socket.write(BLOCK));
  }
  socket.on('drain', more).on('error', () => undefined)
  more()
}

function drink(): void {
  let bytes = 0
  for (let number = 0; number < Number(count); number++) {
    const socket = net.connect(Number(port), '127.0.0.1')
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    socket.on('error', () => undefined)
  }
  setInterval(() => process.stdout.write(`${bytes}\n`), NOTE_MS)
}

if (role === 'drink') drink()
else {
  const server = net.createServer(pour)
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as net.AddressInfo).port}\n`))
}
