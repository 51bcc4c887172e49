/** The SDK: what a connector's program imports. */
export { isTunnelError, TunnelError } from '../shared/errors.ts'
export {
  type ConnectorCredentials,
  readCredentials,
  type TokenCredentials,
} from '../shared/identity/credentials.ts'
export type { NetworkChoice } from '../shared/network/choice.ts'
export { type FindNetworkOptions, type FoundNetwork, findNetwork } from '../shared/network/find-network.ts'
export type { Network } from '../shared/network/network.ts'
export { TunnelDuplex } from '../shared/tunnel/duplex.ts'
export { Connector, type ConnectorOptions } from './connection.ts'
export { type Connect, TunnelHttpAgent, tunnelConnector } from './http-agent.ts'
export { type CredentialsKeeper, credentialsFile } from './identity/credentials-file.ts'
export { forwardLocally, type LocalForward, type LocalForwardOptions } from './local-forward.ts'
