import { isAbsolute, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import * as v from 'valibot'
import { TunnelError } from '../errors.ts'
import { type NetworkChoice, networkChoiceSchema } from './choice.ts'

/** Adds the flags by which a command is told how to get to the relay. */
export function addNetworkFlags(command: Command, { inspector }: { readonly inspector: boolean }): Command {
  // To commander, "--no-proxy" would be the opposite of "--proxy".
  const noProxy = new Option(
    '--no-proxy <LIST>',
    'hosts that are reached without the proxy, parted by commas',
  )
  noProxy.negate = false
  command
    .option('--proxy <URL>', 'http://, https:// or socks5://HOST:PORT on the way to the relay; or direct')
    .addOption(noProxy)
    .option('--pac <URL|FILE>', 'a PAC file that names the proxies')
    .option('--proxy-credentials-file <FILE>', 'one line, USER:PASSWORD, in a file of mode 0600')
    .option('--ca-file <FILE>', "the company's CAs in PEM: for https:// proxies, PAC files and inspectors")
    .option('--system-ca', 'the CAs of the operating system count as well')
  if (!inspector) return command
  return command.option(
    '--accept-inspector <FINGERPRINT>',
    'go on through a TLS inspector whose CA has this key; it can read and change what passes',
  )
}

/**
 * The flags among all options of a command, with paths made absolute.
 * @throws {TunnelError} USAGE where one is not right, or holds a password
 */
export function networkFlags(options: object): NetworkChoice {
  const given = Object.entries(options).filter(([name]) => name in networkChoiceSchema.entries)
  const parsed = v.safeParse(networkChoiceSchema, Object.fromEntries(given), { abortEarly: true })
  if (!parsed.success) {
    const name = v.getDotPath(parsed.issues[0]) ?? ''
    throw new TunnelError(
      'USAGE',
      `The flag ${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is not right.`,
    )
  }
  const choice = parsed.output
  const { proxy, pac } = choice
  if (proxy !== undefined && pac !== undefined)
    throw new TunnelError('USAGE', 'Give --proxy or --pac, not both.')
  if (proxy?.includes('@') === true || /^[^/]*\/\/[^/]*@/.test(pac ?? '')) {
    throw new TunnelError('USAGE', 'A command line is no place for a password: others can read it.', {
      next: 'put USER:PASSWORD into a file of mode 0600 and name it with --proxy-credentials-file',
    })
  }
  return {
    ...choice,
    ...absolute('proxyCredentialsFile', choice.proxyCredentialsFile),
    ...absolute('caFile', choice.caFile),
    ...(pac === undefined || /^[a-z]{2,}:/i.test(pac) ? {} : absolute('pac', pac)),
  }
}

function absolute(name: keyof NetworkChoice, path: string | undefined): NetworkChoice {
  return path === undefined || isAbsolute(path) ? {} : { [name]: resolve(path) }
}
