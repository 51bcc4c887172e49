import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import type { CommandModule } from '../../shared/cli/program.ts'
import { importsOf } from '../import-graph.ts'
import type { Edition } from './editions.ts'

/** The modules with the commands of an edition, as its entry names them. */
async function commandsOf({ entry }: Edition, root: string): Promise<CommandModule[]> {
  const imports = importsOf(readFileSync(join(root, entry), 'utf8'), root, entry)
  const lazy = imports.filter(({ kind }) => kind === 'lazy')
  return Promise.all(lazy.map(({ target }) => import(join(root, target)) as Promise<CommandModule>))
}

export interface ManPageOptions {
  readonly edition: Edition
  /** The project's root. */
  readonly root: string
  readonly version: string
  /** Seconds since 1970. */
  readonly epoch: number
}

/** The manual page of the commands of an edition, sallyport(1), made from what `--help` shows. */
export async function manPage({ edition, root, version, epoch }: ManPageOptions): Promise<string> {
  const program = new Command('sallyport')
  for (const module of await commandsOf(edition, root)) module.register(program)
  const day = new Date(epoch * 1_000).toISOString().slice(0, 10)
  return [
    `.TH SALLYPORT 1 "${day}" "Sallyport ${version}" "User Commands"`,
    '.SH NAME',
    `sallyport \\- ${escaped(edition.summary)}`,
    '.SH SYNOPSIS',
    '.B sallyport',
    '.I COMMAND',
    '[OPTIONS]',
    '.SH COMMANDS',
    ...program.commands.flatMap((command) => section(command, [])),
    '.SH EXIT STATUS',
    '0 where it worked; every other status stands for one kind of failure, see docs/cli.md.',
    '.SH SEE ALSO',
    `.I /usr/share/doc/sallyport\\-${edition.name}/`,
    '',
  ].join('\n')
}

/** A command and those below it: its words, its purpose, its options. */
function section(command: Command, above: readonly string[]): string[] {
  const words = [...above, command.name()]
  if (command.commands.length > 0) return command.commands.flatMap((child) => section(child, words))
  const args = command.registeredArguments.map((argument) =>
    argument.required ? argument.name() : `[${argument.name()}]`,
  )
  return [
    `.SS "sallyport ${escaped([...words, ...args].join(' '))}"`,
    escaped(command.description()),
    ...command.options
      .filter((option) => !option.hidden)
      .flatMap((option) => ['.TP', `.B ${escaped(option.flags)}`, escaped(option.description)]),
  ]
}

/** Text that roff shows as it is. */
function escaped(text: string): string {
  const shown = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('"', '\\(dq')
  return /^[.']/.test(shown) ? `\\&${shown}` : shown
}
