import { crc32c } from '../../shared/wire/crc32c.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** What a binary header says; what is left out is what a proxy sends for a TCP4 client at 192.0.2.7. */
export interface BinaryHeader {
  /** Version and command. */
  readonly command?: number
  /** Family and transport. */
  readonly family?: number
  /** In hexadecimal: source, destination, both ports. */
  readonly addresses?: string
  /** Type and content of each extension. */
  readonly extensions?: readonly (readonly [type: number, content: Buffer])[]
  readonly hasChecksum?: boolean
}

/** A header of version 2, as in section 2.2 of the protocol's text. */
export function binaryHeader({
  command = 0x21,
  family = 0x11,
  addresses = 'c0000207 cb007101 d431 01bb',
  extensions = [],
  hasChecksum = false,
}: BinaryHeader = {}): Buffer {
  const checksum = [0x03, Buffer.alloc(4)] as const
  const parts = [...extensions, ...(hasChecksum ? [checksum] : [])].map(([type, content]) =>
    Buffer.concat([Buffer.of(type, content.length >>> 8, content.length & 0xff), content]),
  )
  const body = Buffer.concat([Buffer.from(addresses.replaceAll(' ', ''), 'hex'), ...parts])
  const head = Buffer.of(command, family, body.length >>> 8, body.length & 0xff)
  const header = Buffer.concat([SIGNATURE, head, body])
  if (hasChecksum) header.writeUInt32BE(crc32c(header), header.length - 4)
  return header
}

/** A header of version 1 for a TCP4 client. */
export function lineHeader(source: string): Buffer {
  return Buffer.from(`PROXY TCP4 ${source} 203.0.113.1 54321 443\r\n`)
}
