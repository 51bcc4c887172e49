import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

/**
 * S43: what never stands in the source. Lines are looked at one by one, which is crude and cannot be led astray by a name
 * that it does not know. An exception is a file and its reason; one that is no longer needed is a fault.
 */

const ROOT = join(import.meta.dirname, '../..')
const SOURCES = ['{relay,shared,agent,connector,demo,build,bin}/**/*.{ts,js}', 'cli.ts']

interface Rule {
  readonly name: string
  readonly pattern: RegExp | ((line: string) => boolean)
  /** Lines that the pattern means and that must be found: without them the rule could rot. */
  readonly samples: readonly string[]
  /** Lines that look alike and are right. */
  readonly harmless?: readonly string[]
  /** File to reason. */
  readonly allowed?: Readonly<Record<string, string>>
}

/** A last word of a name that is worth guessing: `given.token`, `row.password_hash`, `mac`. */
const GUESSABLE = /(?:secret|password|token|h?mac|digest|signature|proof|nonce|pin|verifier|hash)(?:\(\))?$/i
/** To be compared with these tells nothing of a secret. */
const PLAIN = /^(?:undefined|null|true|false|typeof|-?\d|['"`]|[A-Z][A-Z_]+\b)/

/** True for `===` and `!==` on what somebody might guess piece by piece. */
function comparesSecret(line: string): boolean {
  for (const [, left = '', right = ''] of line.matchAll(/([\w.?()[\]]+)\s*[=!]==\s*([^\s&|?:;,]+)/g)) {
    if (/typeof$/.test(line.slice(0, line.indexOf(left)).trim())) continue
    const sides = [left, right].map((side) => side.replace(/\)+$/, (end) => (side.includes('(') ? end : '')))
    if (sides.some((side) => PLAIN.test(side))) continue
    if (sides.some((side) => GUESSABLE.test(side))) return true
  }
  return false
}

const RULES: readonly Rule[] = [
  {
    name: 'a TLS client takes no certificate unseen',
    pattern: /rejectUnauthorized|NODE_TLS_REJECT_UNAUTHORIZED|(?<!\.)\bcheckServerIdentity:/,
    samples: ['{ rejectUnauthorized: false }', 'checkServerIdentity: () => undefined,'],
    harmless: ['import { checkServerIdentity } from "node:tls"'],
    allowed: {
      'relay/gateway/server.ts':
        'a server: visitors without a certificate come to the same port, the table of routes asks',
      'shared/identity/relay-tls.ts':
        'compares with the name of the relay in the place of the dialled address',
      'agent/health/tls.ts':
        'a probe that says how a certificate is wrong; it sends nothing and is closed at once',
    },
  },
  {
    name: 'one function says whose a connection is, which a proxy may have said',
    pattern: /\bremoteAddress\b/,
    samples: ['const source = request.socket.remoteAddress', 'const { remoteAddress } = socket'],
    allowed: {
      'shared/tunnel/source-address.ts': 'that function',
      'relay/gateway/front-door.ts': 'which connection it is, before it is known whose',
      'agent/dial/connect.ts': 'was dialled by the agent',
      'agent/health/probe.ts': 'was dialled by the agent',
      'agent/streams.ts': 'was dialled by the agent',
      'shared/network/reach.ts': 'was dialled',
    },
  },
  {
    name: 'no text becomes code',
    pattern:
      /(?<![.\w])eval\s*\(|new Function\b|['"](?:node:)?vm['"]|(?:setTimeout|setInterval)\s*\(\s*['"`]/,
    samples: ['eval(text)', 'new Function("a")', "import vm from 'node:vm'", 'setTimeout("go()", 1)'],
    harmless: ['context.evalCode(script)', 'readEvaluation(x)'],
  },
  {
    name: 'no program is started by a shell',
    pattern:
      /\bexecSync\b|[{,]\s*exec\s*[,}].*child_process|shell:\s*(?!FurtherLinkShell|SessionSocket|\w+Shell)\S/,
    samples: ["import { exec } from 'node:child_process'", "execSync('ls')", 'spawn(a, b, { shell: true })'],
    harmless: ['join(shell: FurtherLinkShell, now: number)', 'PATTERN.exec(text)'],
  },
  {
    name: 'programs are started in few places',
    pattern: /['"](?:node:)?child_process['"]/,
    samples: ["import { spawn } from 'node:child_process'"],
    allowed: {
      'agent/service/notify.ts': 'systemd-notify, where there is no socket of its own; fixed arguments',
      'agent/service/starter.ts': 'the service starts the agent itself, from its own program',
      'bin/sallyport.js': 'starts the Node that came with the packages',
      'build/advisories.ts': 'npm, with fixed arguments; it answers by a status that is no fault',
      'build/build.ts': 'a build',
      'build/package/settings.ts': 'git, for the date of a build',
      'build/package/tool.ts': 'tools of a build',
      'demo/sallyport.ts': 'the demo types the commands that a person would',
      'demo/scratch.ts': 'the demo ends what it started',
      'demo/services/postgres-binaries.ts': 'PostgreSQL of the demo',
      'demo/services/postgres.ts': 'PostgreSQL of the demo',
      'agent/service/tool.ts': 'systemctl, icacls and sc.exe, with fixed arguments, by an administrator',
      'relay/store/vault/key-command.ts': "the operator's own key service; verbs are fixed, keys go by stdin",
      'shared/network/windows-proxy.ts': 'reg.exe with fixed arguments',
    },
  },
  {
    name: 'a secret is compared in constant time',
    pattern: comparesSecret,
    samples: [
      'if (given.token === kept.token) return',
      'if (made !== row.password_hash) return',
      'return expected === given.signature',
    ],
    harmless: ['token === undefined', 'nonce.length !== NONCE_BYTES', "input.token === ''"],
    allowed: {
      'agent/audit/read.ts': 'hashes of records, which stand beside them for everybody to read',
      'demo/http-questions.ts': 'the check sum of a sample file, which everybody may know',
    },
  },
  {
    name: 'no statement is made of pieces of text',
    pattern:
      /sql\.(?:raw|lit|val)\b|\.(?:exec|prepare|query)\(\s*(?:`[^`]*\$\{|['"][^'"]*['"]\s*\+)|\braw\(`/,
    samples: [`db.exec(\`delete from \${table}\`)`, "db.prepare('select ' + x)", 'sql.raw(name)'],
    harmless: [`sql\`select \${id}\`.execute(db)`, "db.exec('PRAGMA x = ON')"],
    allowed: {
      'relay/store/schema.ts': 'two constants of the program, where SQLite takes no parameters',
      'relay/store/sqlite-file.ts': 'the name of a PRAGMA, of two that stand in the file',
    },
  },
  {
    name: 'what must not be guessed comes from node:crypto',
    pattern: /Math\.random/,
    samples: ['Math.random()'],
    allowed: {
      'shared/effects.ts': 'jitter and choices that nobody gains by guessing; randomBytes stands beside it',
    },
  },
  {
    name: 'MD5, SHA-1 and DES stand only where a foreign protocol asks for them',
    pattern: /create(?:Hash|Hmac)\(\s*['"](?:md4|md5|sha1)['"]|['"](?:des-|rc4|aes-\d+-(?:cbc|ecb|ctr))/i,
    samples: ["createHash('md5')", "createCipheriv('aes-256-cbc', key, iv)"],
    allowed: {
      'agent/doctor/check-upgrade.ts': 'Sec-WebSocket-Accept of RFC 6455',
      'build/package/deb.ts': 'md5sums of a Debian package, beside signatures',
      'demo/sql-questions.ts': "PostgreSQL's md5() is asked for a checkable value",
      'relay/people/totp.ts':
        'HMAC-SHA-1 of RFC 6238, the only one that authenticator programs have in common',
      'shared/network/ntlm.ts': 'NTLMv2 of a proxy',
    },
  },
]

interface Finding {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** Comments may say what they like. */
function codeOf(line: string): string {
  return /^\s*(?:\/?\*|\/\/)/.test(line) ? '' : line.replace(/\s\/\/ .*$/, '')
}

function sources(): Map<string, string[]> {
  const files = SOURCES.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).sort()
  return new Map(
    files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8').split('\n').map(codeOf)] as const),
  )
}

function finds({ pattern }: Rule, line: string): boolean {
  return typeof pattern === 'function' ? pattern(line) : pattern.test(line)
}

function findings(rule: Rule, files: ReadonlyMap<string, readonly string[]>): Finding[] {
  const found: Finding[] = []
  for (const [file, lines] of files) {
    for (const [index, text] of lines.entries()) {
      if (finds(rule, text)) found.push({ file, line: index + 1, text: text.trim() })
    }
  }
  return found
}

describe('S43: in the source', () => {
  const files = sources()

  it('there is something to look at', () => {
    assert.ok(files.size > 200)
    for (const file of ['relay/relay.ts', 'agent/agent.ts', 'cli.ts']) assert.ok(files.has(file), file)
  })

  for (const rule of RULES) {
    it(rule.name, () => {
      for (const sample of rule.samples) assert.equal(finds(rule, codeOf(sample)), true, sample)
      for (const line of rule.harmless ?? []) assert.equal(finds(rule, codeOf(line)), false, line)
      const allowed = rule.allowed ?? {}
      const found = findings(rule, files)
      const faults = found
        .filter(({ file }) => !Object.hasOwn(allowed, file))
        .map(({ file, line, text }) => `${file}:${line}: ${text}`)
      assert.deepEqual(faults, [])
      const used = new Set(found.map(({ file }) => file))
      assert.deepEqual(
        Object.keys(allowed).filter((file) => !used.has(file)),
        [],
        'exceptions that nothing needs',
      )
    })
  }
})
