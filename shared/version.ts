/** Product version; the build checks that it equals package.json's. */
export const PRODUCT_VERSION = '0.1.0'

/** The WebSocket subprotocol, which names the major version of the wire protocol (docs/protocol.md section 1). */
export const SUBPROTOCOL = 'sallyport.1'

/** Lowest and highest revision of `sallyport.1` that this build speaks. */
export const PROTOCOL_VERSIONS = { min: 1, max: 1 } as const
