import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS, type ErrorCode, type ErrorEntry, EXIT } from '../shared/errors.ts'

/** Writes docs/errors.md and the table of exit statuses in docs/cli.md from the catalogue: `npm run docs`. */

const INTRODUCTION = `# Errors

<!-- Made from shared/error-catalogue.ts by "npm run docs"; changes here are lost. -->

Each failure has a code that stays the same from version to version: match on the code, never on the text. A failure
also names the leg of the road on which it happened, who can put it right, and what to do next.

- **Wire** is the number in RESET, STOP and GOAWAY frames ([protocol.md](protocol.md)). Codes without one stay in their process.
- **HTTP** is the status of a problem document, **SOCKS5** the reply byte, **exit** the status of a command ([cli.md](cli.md)).
- **Retry** says that the same request may be sent again unchanged, because nothing reached the target.

| code | wire | HTTP | SOCKS5 | exit | retry |
| --- | --- | --- | --- | --- | --- |
`

const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'it worked',
  internal: 'a fault inside Sallyport, or a peer that broke the protocol',
  usage: 'the command line, a file or a name in it is not right',
  denied: 'rules or grants do not allow it',
  unreachable: 'relay or agent cannot be reached, or the tunnel broke',
  identity: 'a certificate, token or pin does not hold',
  target: 'the service behind the agent cannot be reached, or broke off',
  local: 'this machine: disk, port, permissions, nothing running',
  different: 'what is there is not what the file says',
  interrupted: 'ended by Ctrl-C or a signal before it was done',
}

const TABLE_BEGIN = '<!-- exit statuses: made by "npm run docs" -->\n'
const TABLE_END = '<!-- end of exit statuses -->'

const entries: readonly (readonly [string, ErrorEntry])[] = Object.entries(ERRORS)
const failures = entries.filter(([code]) => code !== ('OK' satisfies ErrorCode))

/** The text of docs/errors.md. */
export function errorDocs(): string {
  const rows = failures.map(
    ([code, { wire, http, socks, exit, retryable }]) =>
      `| [${code}](#${code.toLowerCase()}) | ${wire ?? ''} | ${http} | ${socks} | ${exit} | ${retryable ? 'yes' : ''} |\n`,
  )
  const sections = failures.map(([code, { text, leg, actor, next }]) => {
    const act = actor === 'nobody' ? 'nobody in particular' : `the ${actor}`
    const step = next === '' ? '' : `Next: ${next}.\n`
    return `\n## ${code}\n\n${text}\n\nLeg: ${leg}. To act: ${act}. ${step}`.trimEnd().concat('\n')
  })
  return `${INTRODUCTION}${rows.join('')}${sections.join('')}`
}

/** `page`, the text of docs/cli.md, with its table of exit statuses as the catalogue has it. */
export function withExitTable(page: string): string {
  const begin = page.indexOf(TABLE_BEGIN)
  const end = page.indexOf(TABLE_END)
  if (begin < 0 || end < begin)
    throw new Error('docs/cli.md has lost the marks round its table of exit statuses')
  const rows = Object.entries(EXIT).map(([name, status]) => {
    const codes = failures.filter(([, entry]) => entry.exit === status).map(([code]) => code)
    return `| ${status} | ${EXIT_MEANINGS[name as keyof typeof EXIT]} | ${codes.join(', ')} |\n`
  })
  const table = `| status | meaning | codes |\n| --- | --- | --- |\n${rows.join('')}`
  return page.slice(0, begin) + TABLE_BEGIN + table + page.slice(end)
}

if (import.meta.main) {
  const docs = join(import.meta.dirname, '../docs')
  writeFileSync(join(docs, 'errors.md'), errorDocs())
  const page = join(docs, 'cli.md')
  writeFileSync(page, withExitTable(readFileSync(page, 'utf8')))
}
