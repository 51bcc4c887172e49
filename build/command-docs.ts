import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, type Option } from 'commander'
import type { CommandModule } from '../shared/cli/program.ts'

/** Writes docs/commands.md, every command with every option, from the program itself: `npm run docs`. */

const INTRODUCTION = `# Every command

<!-- Made from the program by "npm run docs"; changes here are lost. -->

What the commands do stands in [cli.md](cli.md); here is each of them with all of its options, as \`--help\` shows them.
`

const ROOT = join(import.meta.dirname, '..')

/** The text of docs/commands.md. */
export async function commandDocs(): Promise<string> {
  const program = new Command('sallyport')
  for (const path of modulesOf(readFileSync(join(ROOT, 'cli.ts'), 'utf8'))) {
    const role = (await import(join(ROOT, path))) as CommandModule
    role.register(program)
  }
  return INTRODUCTION + program.commands.map((command) => sectionOf(command)).join('')
}

/** The modules that the program loads its commands from, each once. */
function modulesOf(source: string): ReadonlySet<string> {
  return new Set([...source.matchAll(/\(\) => import\('\.\/(.+?)'\)/g)].flatMap(([, path]) => path ?? []))
}

function sectionOf(command: Command): string {
  return `\n## ${command.name()}\n${leavesOf(command, 'sallyport').map(leafText).join('')}`
}

interface Leaf {
  readonly words: string
  readonly command: Command
}

function leavesOf(command: Command, before: string): Leaf[] {
  const words = `${before} ${command.name()}`
  if (command.commands.length === 0) return [{ words, command }]
  return command.commands.flatMap((child) => leavesOf(child, words))
}

function leafText({ words, command }: Leaf): string {
  const given = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`
    return argument.required ? ` ${name}` : ` [${name}]`
  })
  const options = command.options.filter((option) => !option.hidden).map(optionText)
  return `\n### \`${words}${given.join('')}\`\n${sentence(command.description())}\n\n${options.join('')}`
}

function optionText(option: Option): string {
  const isShown = typeof option.defaultValue === 'string' && !option.defaultValue.startsWith('/')
  return `- \`${option.flags}\`: ${option.description}${isShown ? ` (${String(option.defaultValue)})` : ''}\n`
}

function sentence(text: string): string {
  return text === '' ? '' : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`
}

if (import.meta.main) writeFileSync(join(ROOT, 'docs/commands.md'), await commandDocs())
