import { stringify } from 'smol-toml'
import type { Action } from './diff.ts'
import type { Document } from './document.ts'

/** A plan as a relay shows it. */
export interface ShownPlan {
  readonly tenant: string
  readonly digest: string
  readonly sections: readonly string[]
  readonly changes: readonly {
    readonly action: Action
    readonly section: string
    readonly name: string
    readonly fields: readonly { readonly field: string; readonly from?: unknown; readonly to?: unknown }[]
  }[]
}

const MARKS: Readonly<Record<Action, string>> = { create: '+', change: '~', replace: '!', remove: '-' }

const WORDS: readonly (readonly [Action, string])[] = [
  ['create', 'to add'],
  ['change', 'to change'],
  ['replace', 'to remove and add again'],
  ['remove', 'to remove'],
]

/** Longest value that is shown. */
const VALUE_MAX = 200

/** A plan for people. */
export function planLines({ tenant, sections, changes }: ShownPlan): string[] {
  const counts = WORDS.map(
    ([action, words]) => [changes.filter((one) => one.action === action).length, words] as const,
  )
  const shown = counts.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`)
  const managed = sections.length === 0 ? 'no section' : sections.join(', ')
  return [
    `tenant ${tenant}: ${shown.length === 0 ? 'as declared' : shown.join(', ')}`,
    `  complete as declared: ${managed}; everything else is left alone`,
    ...changes.flatMap(({ action, section, name, fields }) => [
      `  ${MARKS[action]} ${section.padEnd(12)}  ${name}${action === 'replace' ? '  (removed and added again)' : ''}`,
      ...fields.map(
        ({ field, from, to }) =>
          `      ${field}  ${action === 'create' ? valueText(to) : `${valueText(from)} -> ${valueText(to)}`}`,
      ),
    ]),
  ]
}

function valueText(value: unknown): string {
  if (value === undefined) return '(nothing)'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}...` : text
}

const HEAD = `# What a relay is to hold: sallyport plan FILE shows what differs, sallyport apply FILE makes it so.
# A section that stands here is complete: what it does not name is removed. A section that is left out is left alone.
# A provider's client secret is named, never written: secret = "file:PATH" or "env:NAME".

`

/** Documents as a file of declarations. */
export function formatDeclared(tenants: Readonly<Record<string, Document>>): string {
  return HEAD + withCertificates(stringify({ version: 1, tenants }))
}

/** A certificate in lines of its own, so that a person can compare it. */
function withCertificates(text: string): string {
  return text.replace(
    /"(-----BEGIN CERTIFICATE-----\\n(?:[\w+/= -]|\\n)*)"/g,
    (_, pem: string) => `"""\n${pem.replaceAll('\\n', '\n')}"""`,
  )
}
