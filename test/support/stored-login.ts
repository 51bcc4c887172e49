import { loginDirectory, writeLogin } from '../../shared/cli/remote-login.ts'
import { Secret } from '../../shared/secret.ts'
import type { ApiKit } from './api-kit.ts'

/**
 * Stores a login for commands with `--relay`, where XDG_CONFIG_HOME says.
 * @param port of the relay, or of what stands before it
 * @returns the relay's URL
 */
export async function storeLogin({ kit }: ApiKit, token: string, port: number = kit.port): Promise<string> {
  const ca = kit.relay.authority.authority.certificate.toString()
  const login = { address: { host: '127.0.0.1', port }, token: new Secret(token), ca }
  await writeLogin(loginDirectory(process.env), login)
  return `https://127.0.0.1:${port}`
}
