/** What a stream through the tunnel is asked for. The resource is a name; only the agent knows the host behind it. */
export interface OpenRequest {
  readonly tenantId: string
  /** The environment of the site. */
  readonly environment: string
  readonly site: string
  readonly resource: string
  readonly protocol: 'tcp' | 'http'
  /** Address of the client the stream is for, without a port; the site writes it into its record. */
  readonly sourceAddress: string
  /** 32 lower-case hex digits (W3C Trace Context); absent: the opener makes one. */
  readonly traceId?: string
  /** Gives the stream up when it aborts, at any point of its life. */
  readonly signal?: AbortSignal
}
