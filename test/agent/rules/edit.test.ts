import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { allow, deny, withoutRule, withRule } from '../../../agent/rules/edit.ts'
import { readRulesFile } from '../../../agent/rules/file.ts'
import { RULES_HEADER } from '../../../agent/rules/format.ts'
import { makeRule } from '../../../agent/rules/parse.ts'
import { isTunnelError } from '../../../shared/errors.ts'

const TEXT = `# our rules
version   =   1   # do not touch

# ticket 4711
[resources.b]  # the b
port=2   # odd spacing
host='b.example'
protocol = "tcp"

# about a,
# in two lines
[ resources . "a" ]
protocol = "http"
host = "a.example"
port = 1
path_prefixes = [
  "/x/",
]
# the end
`
const rule = (resource: string, port = 9) =>
  makeRule(resource, { protocol: 'tcp', host: 'n.example', port, allow_loopback: true })
const code = (expected: string) => (err: unknown) => isTunnelError(err) && err.code === expected

async function directory(t: { after(clean: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rules-'))
  t.after(() => rm(path, { recursive: true }))
  return path
}

test('a new rule is put at the end and nothing else moves', () => {
  assert.equal(
    withRule(TEXT, rule('c')),
    `${TEXT}
[resources.c]
protocol = "tcp"
host = "n.example"
port = 9
allow_loopback = true
`,
  )
})

test('a rule is replaced in its place, with the comments around it kept', () => {
  const table = '[resources.a]\nprotocol = "tcp"\nhost = "n.example"\nport = 9\nallow_loopback = true\n'
  const start = TEXT.indexOf('[ resources')
  assert.equal(withRule(TEXT, rule('a')), `${TEXT.slice(0, start)}${table}# the end\n`)
})

test('a rule is removed with the comment directly above it', () => {
  assert.equal(withoutRule(TEXT, 'b'), TEXT.replace(/# ticket.*?"tcp"\n\n/s, ''))
  assert.equal(withoutRule(TEXT, 'a'), `${TEXT.slice(0, TEXT.indexOf('# about'))}# the end\n`)
})

test('adding and removing a rule gives the text back', () => {
  for (const text of [TEXT, 'version = 1', 'version = 1\n\n\n']) {
    assert.equal(withoutRule(withRule(text, rule('c')), 'c').trimEnd(), text.trimEnd())
  }
})

test('line ends of Windows stay what they are', () => {
  const text = withRule(TEXT.replaceAll('\n', '\r\n'), rule('c'))
  assert.doesNotMatch(text, /[^\r]\n/)
})

test('what cannot be edited line by line is refused and left alone', () => {
  const inline = 'version = 1\n[resources]\na = { protocol = "tcp", host = "a", port = 1 }\n'
  assert.throws(() => withoutRule(inline, 'a'), code('POLICY'))
  assert.throws(() => withRule(inline, rule('a')), code('POLICY'))
  const hidden = `version = 1
[resources.w]
protocol = "http"
host = "w"
port = 1
path_prefixes = ['''/\\
''']
`
  assert.throws(() => withRule(hidden, rule('c')), code('POLICY'))
})

test('a header inside a string is not taken for a rule', () => {
  const tricky = `version = 1
[resources.w]
protocol = "http"
host = "w"
port = 1
host_header = """\\
[resources.x]"""
`
  assert.throws(() => withoutRule(tricky, 'x'), code('POLICY'))
})

test('removing what is not there is NOT_FOUND', () => {
  assert.throws(() => withoutRule(TEXT, 'c'), code('NOT_FOUND'))
})

test('a broken file is not edited', () => {
  assert.throws(() => withRule('version = 1\n[', rule('c')), code('POLICY'))
})

test('the first allow makes a private file with an explanation, deny empties it', async (t) => {
  const path = join(await directory(t), 'rules.toml')
  const first = await allow(path, rule('c'))
  assert.equal(first.before, undefined)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.ok((await readFile(path, 'utf8')).startsWith(RULES_HEADER))
  const second = await allow(path, rule('c', 10))
  assert.equal(second.before?.port, 9)
  assert.equal((await deny(path, 'c')).rules.size, 0)
  assert.deepEqual(await readdir(join(path, '..')), ['rules.toml'])
})

test('a failed edit leaves the file as it was', async (t) => {
  const path = join(await directory(t), 'rules.toml')
  await writeFile(path, 'version = 1\n[', { mode: 0o600 })
  await assert.rejects(allow(path, rule('c')), code('POLICY'))
  assert.equal(await readFile(path, 'utf8'), 'version = 1\n[')
})

test('a rules file that others may write, or that is a link or a directory, is refused', async (t) => {
  const root = await directory(t)
  const path = join(root, 'rules.toml')
  await writeFile(path, TEXT)
  await chmod(path, 0o644)
  assert.equal(await readRulesFile(path), TEXT)
  for (const mode of [0o620, 0o602, 0o666]) {
    await chmod(path, mode)
    await assert.rejects(readRulesFile(path), code('PERMISSIONS'))
    await assert.rejects(allow(path, rule('c')), code('PERMISSIONS'))
  }
  await chmod(path, 0o600)
  await symlink(path, join(root, 'link.toml'))
  await assert.rejects(readRulesFile(join(root, 'link.toml')), code('PERMISSIONS'))
  await assert.rejects(readRulesFile(root), code('PERMISSIONS'))
  await assert.rejects(readRulesFile(join(root, 'none.toml')), code('NOT_FOUND'))
})

test('a rules file over 1 MiB is not read into memory', async (t) => {
  const path = join(await directory(t), 'rules.toml')
  await writeFile(path, Buffer.alloc(1_048_577, '#'), { mode: 0o600 })
  await assert.rejects(readRulesFile(path), code('POLICY'))
})

test('without the directory there is nothing to write into', async (t) => {
  const path = join(await directory(t), 'none', 'rules.toml')
  await assert.rejects(allow(path, rule('c')), code('NOT_FOUND'))
})
