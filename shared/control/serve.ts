import { randomBytes } from 'node:crypto'
import { chmod, lstat, rename, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { errorEntry, TunnelError } from '../errors.ts'
import {
  encodeFailure,
  MAX_REQUEST_BYTES,
  MAX_RESPONSE_BYTES,
  PATH_PREFIX,
  parseJson,
  readBody,
} from './message.ts'
import { shortPath } from './path.ts'

/** Answers one method. `params` comes from outside: check it first. `signal` aborts when the asker has gone. */
export type ControlHandler = (params: unknown, signal: AbortSignal) => Promise<unknown>

export interface ControlOptions {
  /** Closes the channel when it aborts. */
  readonly signal: AbortSignal
  /** What a GET is answered with, by its path. */
  readonly pages?: Readonly<Record<string, () => ControlPage>>
  /** Hears of failures that no handler expected, for the log; the asker learns only INTERNAL. */
  readonly onFault?: (error: unknown, method: string) => void
}

/** A text for programs that speak HTTP and not this channel. */
export interface ControlPage {
  /** Media type. */
  readonly type: string
  readonly body: string
}

export interface ControlServer extends AsyncDisposable {
  /** Stops taking requests, ends those that run, and removes the socket. */
  close(): Promise<void>
}

/**
 * Answers the commands of this machine's user: HTTP with JSON on a unix socket of mode 0600 in a private directory,
 * or on a named pipe. The file system is the authentication. A socket left by a process that died is replaced.
 * @throws {TunnelError} LISTEN where another process answers there, PERMISSIONS where the directory is open to others
 */
export async function serveControl(
  path: string,
  handlers: Readonly<Record<string, ControlHandler>>,
  { signal, onFault = () => {}, pages = {} }: ControlOptions,
): Promise<ControlServer> {
  signal.throwIfAborted()
  const isFile = process.platform !== 'win32'
  if (isFile) await checkDirectory(dirname(path))
  const short = await shortPath(path)
  const stopping = new AbortController()
  const server = createServer(
    { headersTimeout: 5000, requestTimeout: 10_000, maxHeaderSize: 8192 },
    (request, response) => {
      void answer({ request, response, handlers, pages, onFault, stopping: stopping.signal })
    },
  )
  server.maxConnections = 64
  try {
    await listenOn(server, short.path, isFile)
  } catch (error) {
    await short[Symbol.asyncDispose]()
    throw error
  }
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= new Promise<void>((resolve) => {
      stopping.abort(new TunnelError('DRAINING'))
      server.close(() => resolve(short[Symbol.asyncDispose]() as Promise<void>))
      server.closeAllConnections()
    })
    return closing
  }
  const onAbort = () => void close()
  signal.addEventListener('abort', onAbort, { once: true })
  server.once('close', () => signal.removeEventListener('abort', onAbort))
  if (signal.aborted) await close()
  return { close, [Symbol.asyncDispose]: close }
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly handlers: Readonly<Record<string, ControlHandler>>
  readonly pages: Readonly<Record<string, () => ControlPage>>
  readonly onFault: (error: unknown, method: string) => void
  readonly stopping: AbortSignal
}

async function answer(exchange: Exchange): Promise<void> {
  const { request, response, handlers, onFault, stopping } = exchange
  const left = new AbortController()
  response.on('close', () => left.abort(new TunnelError('CANCELLED')))
  const method = (request.url ?? '').slice(PATH_PREFIX.length)
  try {
    const page = pageOf(exchange)
    if (page !== undefined) {
      write(response, 200, page.type, Buffer.from(page.body))
      return
    }
    const handler = handlerOf(request, method, handlers)
    const params = parseJson(await readBody(request, MAX_REQUEST_BYTES))
    const result = (await handler(params, AbortSignal.any([left.signal, stopping]))) ?? null
    send(response, 200, { result })
  } catch (error) {
    const failure = encodeFailure(error)
    if (failure.error.code === 'INTERNAL' && !left.signal.aborted) onFault(error, method)
    send(response, errorEntry(failure.error.code).http, failure)
  }
}

function pageOf({ request, pages }: Exchange): ControlPage | undefined {
  const path = request.url ?? ''
  return request.method === 'GET' && Object.hasOwn(pages, path) ? pages[path]?.() : undefined
}

function handlerOf(
  request: IncomingMessage,
  method: string,
  handlers: Readonly<Record<string, ControlHandler>>,
): ControlHandler {
  const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined
  const isCall = request.method === 'POST' && request.url?.startsWith(PATH_PREFIX) === true
  if (!isCall || handler === undefined) {
    throw new TunnelError('PROTOCOL', 'The process on this data directory does not know this command.', {
      next: 'compare versions: sallyport --version, and that of the running process',
    })
  }
  return handler
}

/** @throws {TunnelError} INTERNAL where the answer is too long; nothing was sent then */
function send(response: ServerResponse, status: number, answer: object): void {
  const body = Buffer.from(JSON.stringify(answer))
  if (body.length > MAX_RESPONSE_BYTES) throw new TunnelError('INTERNAL', 'The answer is too long.')
  write(response, status, 'application/json', body)
}

/** One request a connection: nothing idle is left to wait for when the channel closes. */
function write(response: ServerResponse, status: number, type: string, body: Buffer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': body.length, connection: 'close' })
  response.end(body)
}

/** Only the owner may come near the socket, whatever the umask was when it was bound. */
async function checkDirectory(directory: string): Promise<void> {
  const stat = await lstat(directory).catch((cause: unknown) => {
    throw new TunnelError('CONFIG', `There is no data directory ${directory}.`, { cause })
  })
  const isOurs = stat.uid === process.getuid?.()
  if (!stat.isDirectory() || !isOurs || (stat.mode & 0o077) !== 0) {
    throw new TunnelError('PERMISSIONS', `The directory is ${directory}.`)
  }
}

async function listenOn(server: Server, path: string, isFile: boolean): Promise<void> {
  try {
    await listen(server, path)
  } catch (cause) {
    const inUse = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
    if (!inUse) throw new TunnelError('LISTEN', 'The control channel.', { cause, next: '' })
    if (!isFile || !(await removeStale(path))) throw alreadyRunning()
    await listen(server, path).catch(() => {
      throw alreadyRunning()
    })
  }
  if (isFile) await chmod(path, 0o600)
}

function alreadyRunning(): TunnelError {
  return new TunnelError('LISTEN', 'Another process is already running on this data directory.', {
    next: 'stop that process first, or choose another directory: --data DIR',
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/**
 * Removes the socket of a process that died; false where a process answers. Moved aside before it goes, and asked
 * once more there: of two processes that start at once, one can not remove what the other has just bound.
 */
async function removeStale(path: string): Promise<boolean> {
  if (await isAnswered(path)) return false
  const aside = `${path}.${randomBytes(3).toString('hex')}`
  try {
    await rename(path, aside)
  } catch {
    return true
  }
  if (await isAnswered(aside)) {
    await rename(aside, path)
    return false
  }
  await unlink(aside)
  return true
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.on('connect', () => resolve(true))
    // Anything but "nobody listens" (a full backlog, say) counts as a living process: never take over by mistake.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
    socket.on('connect', () => socket.destroy())
  })
}
