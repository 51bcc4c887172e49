import type { X509Certificate } from 'node:crypto'
import type { TunnelError } from '../../shared/errors.ts'
import type { SitePlace } from '../store/store.ts'

/** What a stream is for, as far as it decides whether the stream may be. */
export interface Opening extends SitePlace {
  readonly resource: string
  /** Who opens; undefined for a stream of the relay's own. */
  readonly connector?: { readonly id: string; readonly name: string } | undefined
  /** Of a stream of the relay's own: the address of the publication through which it came. */
  readonly publication?: string | undefined
  /** Address of whom the stream is for. */
  readonly source: string
  /** What the other end of that connection showed, whoever issued it. */
  readonly certificate?: X509Certificate | undefined
}

/** A stream that goes on only as long as it is allowed. */
export interface Living {
  readonly opening: Opening
  /** Ends it at once, towards both sides. */
  end(error: TunnelError): void
}
