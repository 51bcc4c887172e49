import { Command, CommanderError } from 'commander'
import { EXIT, TunnelError } from '../errors.ts'
import { createOutput } from './output.ts'
import type { Terminal } from './terminal.ts'

/** The module of a role that offers commands: it defines options only and imports its heavy parts in the actions. */
export interface CommandModule {
  register(program: Command): void
}

export interface ProgramOptions {
  readonly name: string
  readonly version: string
  readonly description: string
  /** First word of a command line -> the module that knows it. Only the module that is needed is loaded. */
  readonly roles: ReadonlyMap<string, () => Promise<CommandModule>>
  readonly terminal: Terminal
}

/** Runs one command line (without node and script). Ends by setting the exit status: 2 where the line is not right. */
export async function runProgram(argv: readonly string[], options: ProgramOptions): Promise<void> {
  const { name, version, description, terminal } = options
  const { stdout, stderr, interactive, debug } = terminal
  const output = createOutput({ json: argv.includes('--json'), stdout, stderr, interactive, debug })
  const program = new Command(name)
    .description(description)
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      outputError: () => {},
    })
  try {
    for (const load of rolesOf(argv, options.roles)) (await load()).register(program)
    await program.parseAsync(argv, { from: 'user' })
  } catch (error) {
    const failure = error instanceof CommanderError ? explain(error, commandOf(argv, program)) : error
    const helped = error instanceof CommanderError && error.code === 'commander.help'
    if (failure !== undefined) terminal.setExitStatus(helped ? EXIT.usage : output.fail(failure))
  }
}

function rolesOf(
  argv: readonly string[],
  roles: ProgramOptions['roles'],
): Iterable<() => Promise<CommandModule>> {
  const [first = ''] = argv
  if (first === '--version' || first === '-V') return []
  const role = roles.get(argv.find((word) => !word.startsWith('-')) ?? '')
  // A module may know several of them.
  return role === undefined ? new Set(roles.values()) : [role]
}

/** The words of the command line that name a command, as far as they do. */
function commandOf(argv: readonly string[], program: Command): string {
  let command = program
  const words = [program.name()]
  for (const word of argv) {
    const found = command.commands.find((child) => child.name() === word)
    if (found === undefined) continue
    command = found
    words.push(word)
  }
  return words.join(' ')
}

/** Undefined where the text that was asked for (help, version) has been shown and nothing is wrong. */
function explain(error: CommanderError, command: string): TunnelError | undefined {
  if (error.exitCode === 0) return undefined
  const detail = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
  return new TunnelError(
    'USAGE',
    `${detail}.`.replace(/[.)]\.$/, (end) => end.slice(0, 1)),
    {
      next: `${command} --help`,
    },
  )
}
