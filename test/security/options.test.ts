import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Command } from 'commander'
import { parseRules } from '../../agent/rules/parse.ts'
import type { KEYS } from '../../agent/rules/schema.ts'
import { type AddressContext, checkAddress, decide } from '../../shared/policy/decide.ts'
import { requestDenial } from '../../shared/policy/request.ts'
import type { Rule } from '../../shared/policy/rule.ts'
import { sallyport } from '../support/command-line.ts'

/** S47: what is written down as a switch switches something, and what is no switch is refused. */

const ROOT = join(import.meta.dirname, '../..')
const NOBODY: AddressContext = { own: new Set(), relay: new Set() }

function ruleWith(lines: readonly string[]): Rule {
  const keys = new Set(lines.map((line) => line.split(' ')[0]))
  const base = ['protocol = "tcp"', 'host = "db.corp.test"', 'port = 80'].filter(
    (line) => !keys.has(line.split(' ')[0] ?? ''),
  )
  const text = ['version = 1', '[resources.db]', ...base, ...lines].join('\n')
  return parseRules(text, 'rules.toml').get('db') ?? assert.fail('no rule')
}

const dials = (address: string) => (rule: Rule) => checkAddress(rule, address, NOBODY).allowed
const passes = (path: string) => (rule: Rule) =>
  rule.http !== undefined && requestDenial(rule.http, { method: 'GET', target: path }) === undefined

/** Key to two ways of writing it, and a question that they answer differently. */
const SWITCHES: Record<keyof typeof KEYS, readonly [off: string, on: string, ask: (rule: Rule) => unknown]> =
  {
    protocol: [
      'protocol = "tcp"',
      'protocol = "http"',
      (rule) => decide(new Map([['db', rule]]), { resource: 'db', protocol: 'http' }).allowed,
    ],
    host: ['host = "a.test"', 'host = "b.test"', ({ host }) => host.text],
    port: ['port = 80', 'port = 81', ({ port }) => port],
    cidr: ['cidr = "10.0.0.0/8"', 'cidr = "10.1.0.0/16"', dials('10.2.0.1')],
    expect: ['expect = "private"', 'expect = "public"', dials('10.2.0.1')],
    allow_loopback: ['allow_loopback = false', 'allow_loopback = true', dials('127.0.0.1')],
    allow_link_local: ['allow_link_local = false', 'allow_link_local = true', dials('169.254.7.7')],
    allow_metadata: ['allow_metadata = false', 'allow_metadata = true', dials('169.254.169.254')],
    methods: ['methods = ["POST"]', 'methods = ["GET"]', passes('/')],
    path_prefixes: ['path_prefixes = ["/a/"]', 'path_prefixes = ["/b/"]', passes('/b/c')],
    // What these do when they run stands in test/agent/http-target, streams, kept-streams and health.
    host_header: ['host_header = "a.test"', 'host_header = "b.test"', ({ http }) => http?.hostHeader],
    max_streams: ['max_streams = 1', 'max_streams = 2', ({ maxStreams }) => maxStreams],
    detail: ['detail = false', 'detail = true', ({ detail }) => detail],
    resume: ['resume = true', 'resume = false', ({ resume }) => resume],
    probe: ['probe = "none"', 'probe = "tcp"', ({ probe }) => probe],
  }

const HTTP = new Set(['methods', 'path_prefixes', 'host_header'])

describe('S47: in the rules of a site', () => {
  for (const [key, [off, on, ask]] of Object.entries(SWITCHES)) {
    it(`${key} changes what the agent does`, () => {
      const more = HTTP.has(key) ? ['protocol = "http"'] : []
      assert.notDeepEqual(ask(ruleWith([...more, off])), ask(ruleWith([...more, on])))
    })
  }

  it('no other key is taken', () => {
    for (const key of ['allow-loopback', 'allowLoopback', 'Port', 'hosts', 'enabled']) {
      assert.throws(() => ruleWith([`${key} = true`]), { code: 'POLICY' }, key)
    }
  })
})

/** Every command of every role that does something. */
async function commands(): Promise<readonly { readonly words: string[]; readonly command: Command }[]> {
  const roles = ['agent/commands', 'relay/commands', 'relay/audit-commands', 'connector/commands']
  const program = new Command()
  for (const role of [
    ...roles,
    'relay/login-commands',
    'relay/account-commands',
    'shared/release/commands',
  ]) {
    const module: { register(program: Command): void } = await import(`../../${role}.ts`)
    module.register(program)
  }
  const found: { words: string[]; command: Command }[] = []
  const walk = (command: Command, words: string[]) => {
    if (command.commands.length === 0) found.push({ words, command })
    for (const child of command.commands) walk(child, [...words, child.name()])
  }
  walk(program, [])
  return found
}

describe('S47: on the command line', () => {
  it('every option is read by its command: none is documented and forgotten', async () => {
    const files = globSync('{agent,relay,connector,shared}/**/*.ts', { cwd: ROOT })
    // Where an option is declared its name has dashes or stands in quotes; where it is used it is a name.
    const words = files.map((file) => readFileSync(join(ROOT, file), 'utf8').replace(/(['`])--.*?\1/g, ''))
    const all = await commands()
    assert.ok(all.length > 40)
    const text = words.join('\n')
    for (const { command, words: path } of all) {
      for (const option of command.options) {
        const name = option.attributeName()
        const isRead = new RegExp(`\\b(?:readonly )?${name}\\b(?:\\??:|\\s*[,}=?]|\\.)|\\.${name}\\b`).test(
          text,
        )
        assert.ok(isRead, `${path.join(' ')} ${option.flags}`)
      }
    }
  })

  it('no command takes an option that it does not know, or a word too many', async () => {
    for (const { command } of await commands()) {
      const { _allowUnknownOption: isLax, _allowExcessArguments: isLoose } = command as unknown as {
        readonly _allowUnknownOption: boolean
        readonly _allowExcessArguments: boolean
      }
      assert.equal(isLax, false, command.name())
      assert.equal(isLoose, false, command.name())
    }
  })

  it('a misspelled option changes nothing and ends with status 2', async () => {
    for (const line of [
      ['relay', 'up', '--listn', '127.0.0.1:0', '--data', '/nowhere'],
      ['agent', 'allow', 'db=127.0.0.1:1', '--allow-lopback', '--data', '/nowhere'],
    ]) {
      const { status, err } = await sallyport(line)
      assert.equal(status, 2)
      assert.match(err, /unknown option/)
    }
  })

  it('every variable of the environment that is documented is read', () => {
    const documented = globSync('{README.md,docs/*.md}', { cwd: ROOT }).flatMap((file) => [
      ...readFileSync(join(ROOT, file), 'utf8').matchAll(/\bSALLYPORT_[A-Z_]+/g),
    ])
    assert.ok(documented.length > 0)
    const source = globSync('{agent,relay,connector,shared,build}/**/*.ts', { cwd: ROOT })
      .map((file) => readFileSync(join(ROOT, file), 'utf8'))
      .join('\n')
    for (const [name] of documented) assert.ok(source.includes(name), name)
  })
})
