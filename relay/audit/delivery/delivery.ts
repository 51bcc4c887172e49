/** Where records of a tenant's chain are sent. */
export interface Delivery {
  /** Unique within the tenant. */
  readonly name: string
  readonly kind: 'webhook' | 'syslog'
  /** `https://HOST[:PORT]/PATH` of a webhook, `HOST:PORT` of a syslog receiver. */
  readonly target: string
  /** Certificates in PEM that the receiver's must come from; the system's where there are none. */
  readonly ca: string | undefined
  /** Number of the last record that was delivered. */
  readonly position: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
}

/** The name in the vault of the key that signs what a webhook gets. */
export function signingKeyName(delivery: string): string {
  return `delivery/${delivery}`
}
