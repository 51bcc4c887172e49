/** Where the table of one resource stands in the text, in lines counted from 0. */
export interface Block {
  /** The line of the header. */
  readonly header: number
  /** First comment line that stands directly above the header; the header itself where there is none. */
  readonly start: number
  /** The line behind the last key: blank lines and comments further down belong to what follows. */
  readonly end: number
}

const ANY_HEADER = /^\s*\[/
const RESOURCE_HEADER =
  /^\s*\[\s*(?:resources|"resources"|'resources')\s*\.\s*(?:([A-Za-z0-9_-]+)|"([^"\\]*)"|'([^']*)')\s*\]\s*(?:#.*)?$/
const COMMENT = /^\s*#/
const BLANK_OR_COMMENT = /^\s*(?:#.*)?$/

/**
 * Finds the table [resources.NAME]. It looks at lines only, not at TOML: a resource written in another form (inline
 * table, dotted keys) is not found, and a header inside a multi-line string is; so whoever edits by it must parse again.
 */
export function findBlock(lines: readonly string[], resource: string): Block | undefined {
  const header = lines.findIndex((line) => headerName(line) === resource)
  if (header < 0) return undefined
  let start = header
  while (COMMENT.test(lines[start - 1] ?? '')) start--
  const next = lines.findIndex((line, i) => i > header && ANY_HEADER.test(line))
  let end = next < 0 ? lines.length : next
  while (end > header + 1 && BLANK_OR_COMMENT.test(lines[end - 1] ?? '')) end--
  return { header, start, end }
}

/**
 * The line, counted from 1, of a key of a resource, or of its header where the key is not there.
 * @returns undefined where neither is found
 */
export function lineOf(text: string, resource: string, key?: string): number | undefined {
  const lines = text.split('\n')
  const block = findBlock(lines, resource)
  if (block === undefined) return undefined
  const found = lines.findIndex((line, i) => i > block.header && i < block.end && keyOf(line) === key)
  return (key !== undefined && found >= 0 ? found : block.header) + 1
}

function headerName(line: string): string | undefined {
  const match = RESOURCE_HEADER.exec(line)
  return match?.[1] ?? match?.[2] ?? match?.[3]
}

function keyOf(line: string): string | undefined {
  return /^\s*["']?([A-Za-z0-9_-]+)["']?\s*=/.exec(line)?.[1]
}
