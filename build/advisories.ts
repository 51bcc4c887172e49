import { execFile } from 'node:child_process'
import { join } from 'node:path'
import * as v from 'valibot'

// Asks the registry about what package-lock.json holds: which packages have a known fault, and which have a newer version.

/** How long npm may take for one question, in ms. */
const ASK_MS = 60_000

const advisory = v.object({ title: v.string(), url: v.string(), severity: v.string() })

const audit = v.object({
  vulnerabilities: v.record(
    v.string(),
    v.object({ range: v.string(), via: v.array(v.union([v.string(), advisory])) }),
  ),
})

const outdated = v.record(v.string(), v.object({ current: v.optional(v.string(), '-'), latest: v.string() }))

/** What there is to say about one question; undefined where npm could not ask. */
type Found = readonly string[] | undefined

/** One line for each fault that `npm audit --json` knows of. A package that only holds one with a fault is not named again. */
export function advisoryLines(answer: string): Found {
  const report = read(audit, answer)
  return (
    report &&
    Object.entries(report.vulnerabilities).flatMap(([name, { range, via }]) =>
      via.flatMap((one) =>
        typeof one === 'string' ? [] : [`${one.severity}: ${name} ${range}: ${one.title} (${one.url})`],
      ),
    )
  )
}

/** One line for each of our dependencies of which `npm outdated --json` knows a newer version. */
export function outdatedLines(answer: string): Found {
  const report = read(outdated, answer)
  return (
    report &&
    Object.entries(report).map(([name, { current, latest }]) => `${name} ${current}, newest ${latest}`)
  )
}

/** What is printed, and whether something has to be done at once. A question that was not answered is said, and is no pass. */
export function report(
  advisories: Found,
  newer: Found,
): { readonly text: string; readonly isUrgent: boolean } {
  const part = (title: string, lines: Found) =>
    lines === undefined
      ? `${title}: NOT ASKED, the registry gave no answer\n`
      : `${title}: ${lines.length}\n${lines.map((line) => `  ${line}\n`).join('')}`
  return {
    text: part('packages with a known fault', advisories) + part('dependencies with a newer version', newer),
    isUrgent: advisories !== undefined && advisories.length > 0,
  }
}

function read<Output>(schema: v.GenericSchema<unknown, Output>, answer: string): Output | undefined {
  try {
    return v.parse(schema, JSON.parse(answer))
  } catch {
    return undefined
  }
}

/** What npm writes; its status says whether it found something, and so does what it writes. */
function askNpm(...words: readonly string[]): Promise<string> {
  const options = { cwd: join(import.meta.dirname, '..'), timeout: ASK_MS, maxBuffer: 16 * 1024 * 1024 }
  return new Promise((resolve) => {
    execFile('npm', [...words, '--json'], options, (_error, stdout) => resolve(stdout))
  })
}

if (import.meta.main) {
  const { text, isUrgent } = report(
    advisoryLines(await askNpm('audit', '--package-lock-only')),
    outdatedLines(await askNpm('outdated')),
  )
  process.stdout.write(text)
  process.exitCode = isUrgent ? 1 : 0
}
