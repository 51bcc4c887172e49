/** The SDK: what a connector's program imports. */
export { isTunnelError, TunnelError } from '../shared/errors.ts'
export { type ConnectorCredentials, readCredentials } from '../shared/identity/credentials.ts'
export { TunnelDuplex } from '../shared/tunnel/duplex.ts'
export { Connector, type ConnectorOptions } from './connection.ts'
export { type Connect, TunnelHttpAgent, tunnelConnector } from './http-agent.ts'
export { forwardLocally, type LocalForward, type LocalForwardOptions } from './local-forward.ts'
