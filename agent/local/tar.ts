/** A file of an archive. */
export interface TarEntry {
  /** ASCII, at most 100 characters, no leading slash. */
  readonly name: string
  readonly content: string
}

const BLOCK_BYTES = 512

/**
 * A tar archive of plain files in the ustar form (POSIX.1-1988), which every tar reads.
 * @param modifiedAt milliseconds since 1970, for all files
 */
export function tar(entries: readonly TarEntry[], modifiedAt: number): Buffer {
  const parts = entries.flatMap(({ name, content }) => {
    const bytes = Buffer.from(content)
    const padding = Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES)
    return [header(name, bytes.length, modifiedAt), bytes, padding]
  })
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)])
}

function header(name: string, size: number, modifiedAt: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES)
  const octal = (value: number, at: number, width: number) =>
    block.write(
      `${Math.trunc(value)
        .toString(8)
        .padStart(width - 1, '0')}\0`,
      at,
      'latin1',
    )
  block.write(name, 0, 100, 'latin1')
  octal(0o600, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(modifiedAt / 1_000, 136, 12)
  block.write('        0', 148, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  // The sum counts its own field as blanks.
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}
