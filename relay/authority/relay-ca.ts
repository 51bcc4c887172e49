import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { readPlainFile } from '../../shared/config/plain-file.ts'
import { TunnelError } from '../../shared/errors.ts'
import { loadAuthority } from './certificate-authority.ts'

const CERTIFICATE_MAX_BYTES = 65_536

/**
 * The certificate of a relay's CA: in the file `ca`, or else in the data directory of the relay.
 * @throws {TunnelError} NOT_FOUND, CONFIG
 */
export async function relayCa({
  ca,
  data,
}: {
  readonly ca?: string | undefined
  readonly data: string
}): Promise<X509Certificate> {
  if (ca === undefined) {
    const authority = await loadAuthority(join(data, 'ca'))
    if (authority !== undefined) return authority.certificate
    throw new TunnelError('NOT_FOUND', `${data} is no data directory of a relay.`, {
      ...{ leg: 'local', next: "name it, or the relay's CA: --data DIR, --ca FILE" },
    })
  }
  const text = await readPlainFile(ca, CERTIFICATE_MAX_BYTES, 'CONFIG')
  try {
    return new X509Certificate(text)
  } catch (cause) {
    throw new TunnelError('CONFIG', `${ca} is no certificate.`, { cause })
  }
}
