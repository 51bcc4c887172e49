import type { Output } from '../shared/cli/output.ts'
import { formatListening } from '../shared/tunnel/tcp-listener.ts'
import { PATHS } from './http-questions.ts'
import { type Check, REPEATS } from './measure.ts'
import { NAMES, type Stage } from './stage.ts'

export interface ShowOptions {
  readonly stage: Stage
  readonly checks: readonly Check[]
  /** Everything stays up, so say what to try next. */
  readonly stays: boolean
}

/** What stands where, what came back through the tunnel, and what to type next. */
export function show(output: Output, { stage, checks, stays }: ShowOptions): void {
  const { relay, agent, httpForward, sqlForward, published } = stage
  const facts = {
    relay: relay.address,
    relayData: relay.data,
    agentData: agent.data,
    http: addressOf(httpForward),
    sql: addressOf(sqlForward),
    passwordFile: stage.passwordFile,
    published: `https://${NAMES.host}:${published.port}/`,
    checks,
  }
  output.result(facts, [
    ...places(stage),
    '',
    ...answers(checks),
    ...(stays ? ['', ...nextCommands(stage), '', 'Ctrl-C ends all of it and removes its files.'] : []),
  ])
}

function places({ relay, agent, http, sql, httpForward, sqlForward, published }: Stage): string[] {
  return columns([
    ['relay', relay.address, 'database, CA and certificate made just now'],
    [`site ${NAMES.site}`, 'no port open', `its agent has joined: ${agent.fingerprint}`],
    ['  web', addressOf(http), 'an HTTP service, which the rules on site allow'],
    ['  db', addressOf(sql), 'a PostgreSQL server, which they allow too'],
    ['connector', '', ''],
    [`  ${NAMES.web}`, addressOf(httpForward), 'the HTTP service, as if it were here'],
    [`  ${NAMES.db}`, addressOf(sqlForward), 'the PostgreSQL server, as if it were here'],
    [`  ${NAMES.host}`, addressOf(published), 'the HTTP service again, as HTTPS at the relay'],
  ])
}

function answers(checks: readonly Check[]): string[] {
  const head = ['through the tunnel', 'first', `median of ${REPEATS}`, 'directly', 'answer']
  const rows = checks.map(({ question, answer, firstMs, again }) => [
    `  ${question}`,
    ms(firstMs),
    again === undefined ? '' : ms(again.tunnelMs),
    again === undefined ? '' : ms(again.directMs),
    answer,
  ])
  return columns([head, ...rows], new Set([1, 2, 3]))
}

function nextCommands({ relay, agent, httpForward, sqlForward, published, passwordFile }: Stage): string[] {
  const { user, database } = sqlForward
  return [
    'Try, in another terminal:',
    `  curl http://${addressOf(httpForward)}${PATHS.small}`,
    `  curl --cacert ${published.caFile} https://${NAMES.host}:${published.port}${PATHS.small}`,
    `  PGPASSFILE=${passwordFile} psql postgresql://${user}@${addressOf(sqlForward)}/${database}`,
    `  npm run sallyport -- relay status --data ${relay.data}`,
    `  npm run sallyport -- agent status --data ${agent.data}`,
    `  npm run sallyport -- agent deny web --data ${agent.data}`,
  ]
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return formatListening(host, port)
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`
}

/** Rows as lines with aligned columns, some of them to the right. */
function columns(rows: readonly (readonly string[])[], right: ReadonlySet<number> = new Set()): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      right.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    )
    return cells.join('   ').trimEnd()
  })
}
