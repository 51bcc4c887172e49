import { type Command, Option } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { defaultDataDirectory } from '../shared/config/data-directory.ts'
import type { NetworkChoice } from '../shared/network/choice.ts'
import { addNetworkFlags } from '../shared/network/flags.ts'
import type { DoctorFlags } from './doctor/doctor-command.ts'
import { addLocal } from './local/commands.ts'
import type { AllowFlags } from './rules-commands.ts'
import type { RunFlags } from './run-command.ts'
import { addService } from './service/commands.ts'
import { actAsOwner } from './service/owner.ts'

const DEFAULT_DATA = defaultDataDirectory('agent', process.env, process.getuid?.() === 0)

interface DataFlags {
  readonly data: string
}

interface JoinFlags extends DataFlags, NetworkChoice {
  readonly joinFile?: string
  readonly replace?: boolean
  readonly service?: boolean
}

/** These do part of their work as root before they become the owner of the data themselves. */
const AS_ROOT: ReadonlySet<string> = new Set(['join', 'network', 'support-bundle'])

/** Adds `agent` and its commands to the program. */
export function register(program: Command): void {
  const agent = program.command('agent').description('the agent on the site, and what it may reach')
  agent.hook('preAction', async (_agent, action) => {
    const { data } = action.opts<{ data?: string }>()
    if (data !== undefined && !AS_ROOT.has(action.name())) await actAsOwner(data)
  })
  addLife(agent)
  addDoctor(agent)
  addNetwork(agent)
  addRules(agent)
  addLocal(agent, command)
  addService(agent)
  addAudit(agent)
}

function command(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--data <DIR>', 'data directory of the agent', DEFAULT_DATA)
    .option('--json', 'one JSON object a line')
}

function addLife(agent: Command): void {
  addNetworkFlags(command(agent, 'join', 'make this an agent of a relay, once'), { inspector: true })
    .argument('[STRING]', 'the join string of `sallyport relay join-token`; - reads it from standard input')
    .option('--join-file <FILE>', 'a file that holds it; - is standard input')
    .option('--replace', 'put a new identity in the place of the present one')
    .option('--service', 'end with a running service; so it is where root joins and systemd runs the machine')
    .option('--no-service', 'install no service; start it with `sallyport agent run`')
    .action(
      runAction(async ({ signal, output, terminal }, text: string | undefined, flags: JoinFlags) => {
        const { joinRelay } = await import('./join-command.ts')
        const { stdin } = terminal
        await joinRelay({ ...flags, text, stdin, environment: process.env, signal, output })
      }),
    )
  addNetworkFlags(command(agent, 'run', 'keep the tunnel up'), { inspector: true })
    .option('--log-level <LEVEL>', 'silent, error, warn, info or debug', 'info')
    .option('--mask <KIND>', 'WebSocket masks: zero (fast, inside verified TLS) or random', 'zero')
    .option(
      '--join-file <FILE>',
      'join with the string in it where this agent has no identity; - is standard input',
    )
    .option('--log-file <FILE>', 'log there, and only warnings and errors to standard error')
    .option('--log-size <MIB>', 'size at which the log file is put aside', '10')
    .option('--log-keep <N>', 'log files that are kept', '5')
    .option(
      '--status-page <ADDRESS>',
      'serve a page with the status: 127.0.0.1:PORT or a path for a unix socket',
    )
    .option('--stop-with-input', 'end well when standard input ends')
    .action(
      runAction(async ({ signal, output, terminal }, flags: RunFlags) => {
        const { run } = await import('./run-command.ts')
        const { stdin } = terminal
        await run({ ...flags, stdin, environment: process.env, signal, output })
      }),
    )
}

function addDoctor(agent: Command): void {
  addNetworkFlags(
    command(
      agent,
      'doctor',
      'find out what is in the way to the relay and the targets, before or after joining',
    ),
    { inspector: true },
  )
    .option('--relay <URL>', 'before joining: wss://HOST:PORT of the relay')
    .option(
      '--join-file <FILE>',
      'before joining: a file with the join string, which is not used up; - is standard input',
    )
    .option(
      '--idle <SECONDS>',
      'measure after how much silence the path is cut, up to so many seconds, or full',
    )
    .option('--report', 'print the text to send to the network team instead')
    .option('--targets', 'name the targets inside in the report too')
    .action(
      runAction(async ({ signal, output, terminal }, flags: DoctorFlags) => {
        const { examineNetwork } = await import('./doctor/doctor-command.ts')
        await examineNetwork({ ...flags, stdin: terminal.stdin, environment: process.env, signal, output })
      }),
    )
}

function addNetwork(agent: Command): void {
  addNetworkFlags(command(agent, 'network', 'show how the relay is reached, or set it'), { inspector: true })
    .option('--reset', 'forget what was set before')
    .action(
      runAction(async ({ output }, flags: DataFlags & NetworkChoice & { readonly reset?: boolean }) => {
        const { showNetwork } = await import('./network-command.ts')
        await showNetwork({ ...flags, environment: process.env, output })
      }),
    )
}

/** By its name it would take the place in which `--probe` puts its kind. */
function noTry(): Option {
  const option = new Option('--no-probe', 'do not try the target now')
  option.attributeName = () => 'try'
  return option
}

function addRules(agent: Command): void {
  command(agent, 'allow', 'let connectors reach one service, and try it at once')
    .argument('<NAME=HOST:PORT>', 'the name connectors use, and what stands behind it')
    .option('--protocol <KIND>', 'tcp or http', 'tcp')
    .option('--allow-loopback', 'the target may be this machine itself')
    .option('--allow-link-local', 'the target may be a link-local address')
    .option('--cidr <RANGE...>', 'what the host may resolve to')
    .option('--method <METHOD...>', 'http: methods that may pass')
    .option('--path-prefix <PATH...>', 'http: paths that may pass')
    .option('--host-header <HOST>', 'http: the Host header for the target')
    .option('--max-streams <N>', 'most streams at once')
    .option('--detail', 'let connectors see why the target was not reached')
    .option('--no-resume', 'end streams with their path instead of waiting for another')
    .option(
      '--probe <KIND>',
      'how its health is asked, where the port does not say: tcp, tls, http, postgres, mysql, redis, ldap, smtp; none: not at all',
    )
    .addOption(noTry())
    .action(
      runAction(async ({ signal, output }, rule: string, flags: AllowFlags) => {
        const { allowRule } = await import('./rules-commands.ts')
        await allowRule({ ...flags, rule, signal, output })
      }),
    )
  command(agent, 'deny', 'take a rule away; its streams end')
    .argument('<NAME>')
    .action(
      runAction(async ({ output }, name: string, flags: DataFlags) => {
        const { denyRule } = await import('./rules-commands.ts')
        await denyRule({ ...flags, name, output })
      }),
    )
  command(agent, 'list', 'show the rules').action(
    runAction(async ({ output }, flags: DataFlags) => {
      const { listRules } = await import('./rules-commands.ts')
      await listRules({ ...flags, output })
    }),
  )
}

function addAudit(agent: Command): void {
  const audit = agent.command('audit').description('what this agent let in, by its own records')
  command(audit, 'verify', 'say whether every record is what was written').action(
    runAction(async ({ signal, output }, flags: { data: string }) => {
      const { verifyAgentAudit } = await import('./audit-commands.ts')
      await verifyAgentAudit({ ...flags, signal, output })
    }),
  )
  command(audit, 'list', 'show the records, the oldest first')
    .option('--after <SEQ>', 'records after this number')
    .action(
      runAction(async ({ signal, output }, flags: { data: string; after?: string }) => {
        const { listAgentAudit } = await import('./audit-commands.ts')
        await listAgentAudit({ ...flags, signal, output })
      }),
    )
}
