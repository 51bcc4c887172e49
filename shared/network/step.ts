/** What happened on the way to a target, one after the other; for `agent doctor` and the debug log. Holds no secret. */
export type Step =
  /** A TCP connection stands, to the proxy or to the target itself. */
  | {
      readonly kind: 'tcp'
      readonly to: 'proxy' | 'target'
      readonly host: string
      readonly port: number
      /** The number that answered; empty where the system does not say. */
      readonly address: string
      /** From the start of dialling, names included. */
      readonly ms: number
    }
  /** TLS to an `https` proxy stands. */
  | { readonly kind: 'proxy-tls'; readonly issuer: string; readonly protocol: string }
  /** An HTTP proxy answered a CONNECT. */
  | {
      readonly kind: 'proxy-answer'
      readonly status: number
      /** Schemes of Proxy-Authenticate as offered, such as `NTLM`, `Digest SHA-256`. */
      readonly schemes: readonly string[]
      /** The scheme with which we had answered, where we had. */
      readonly used?: string
      /** Its Server header, else Via; printable ASCII, at most 100 characters. */
      readonly server?: string
    }
  /** A SOCKS5 proxy took this method of authentication. */
  | { readonly kind: 'socks-method'; readonly method: 'none' | 'password' }
  /** The way to the target is open. */
  | { readonly kind: 'open'; readonly ms: number }
  /** This route did not work; the next one is tried. */
  | { readonly kind: 'failed'; readonly route: string; readonly code: string; readonly message: string }
