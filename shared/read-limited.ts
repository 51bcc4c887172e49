/** All of a stream of bytes. @throws what `tooLong` makes, where there are more than `maxBytes`; the stream is destroyed then */
export async function readLimited(
  stream: AsyncIterable<Buffer>,
  maxBytes: number,
  tooLong: () => Error,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > maxBytes) throw tooLong()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}
