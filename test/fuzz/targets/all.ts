import type { FuzzTarget } from '../target.ts'
import { clientHello } from './client-hello.ts'
import { handshakes } from './handshake.ts'
import { httpRequests } from './http.ts'
import { proxies } from './proxy.ts'
import { proxyHeader } from './proxy-header.ts'
import { session } from './session.ts'
import { texts } from './texts.ts'
import { websocket } from './websocket.ts'

/** Every reader of what comes from the network. */
export const TARGETS: readonly FuzzTarget[] = [
  session,
  websocket,
  ...handshakes,
  proxyHeader,
  clientHello,
  httpRequests,
  ...proxies,
  ...texts,
]
