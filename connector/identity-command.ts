import { X509Certificate } from 'node:crypto'
import { SecretPrompt } from '../shared/cli/ask-secret.ts'
import type { Output } from '../shared/cli/output.ts'
import { readSecret } from '../shared/cli/secret-input.ts'
import type { Terminal } from '../shared/cli/terminal.ts'
import { writePrivateFile } from '../shared/config/private-file.ts'
import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { readCredentials, requireCertificate } from '../shared/identity/credentials.ts'
import { identityPkcs12, trustPkcs12 } from '../shared/identity/pkcs12.ts'
import type { Secret } from '../shared/secret.ts'

export interface IdentityExportOptions {
  readonly credentials: string
  /** Where key and chain go. */
  readonly pkcs12: string
  /** Where the relay's CA goes. */
  readonly trust?: string
  /** Asked for where it is left out. */
  readonly passwordFile?: string
  readonly terminal: Terminal
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport identity export`. */
export async function identityExport(options: IdentityExportOptions): Promise<void> {
  const { pkcs12, trust, signal, output } = options
  const credentials = requireCertificate(await readCredentials(options.credentials))
  const password = await passwordOf(options, signal)
  const { connector: name, key } = credentials
  const [certificate, ca] = [
    new X509Certificate(credentials.certificate),
    new X509Certificate(credentials.ca),
  ]
  const how = { password, effects: realEffects }
  await writePrivateFile(pkcs12, await identityPkcs12({ name, key, chain: [certificate, ca] }, how))
  if (trust !== undefined) await writePrivateFile(trust, await trustPkcs12('sallyport-relay', ca, how))
  const notAfter = certificate.validToDate.toISOString()
  output.result({ connector: name, pkcs12, ...(trust === undefined ? {} : { trust }), notAfter }, [
    `${pkcs12} holds key and certificate of ${name}, good until ${notAfter.slice(0, 10)}; keep it secret`,
    ...(trust === undefined ? [] : [`${trust} holds the CA of the relay, by the same password`]),
  ])
}

/** From a file, or typed twice where a person types it. */
async function passwordOf(
  { passwordFile, terminal }: IdentityExportOptions,
  signal: AbortSignal,
): Promise<Secret<string>> {
  if (passwordFile !== undefined) return readSecret(passwordFile, { stdin: terminal.stdin, signal })
  using prompt = new SecretPrompt(terminal)
  const password = await prompt.ask('Password of the file', signal)
  if (!terminal.interactive) return password
  const again = await prompt.ask('Once more', signal)
  if (again.reveal() === password.reveal()) return password
  throw new TunnelError('USAGE', 'The two are not the same.')
}
