/** One number of a family. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** All numbers of one name. Names and labels are ours and match `[a-z_]+`; label values may be anything, and are few. */
export interface MetricFamily {
  readonly name: string
  readonly kind: 'gauge' | 'counter'
  /** One sentence. */
  readonly help: string
  readonly samples: readonly Sample[]
}

/** The media type of `formatMetrics`. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** The Prometheus text exposition format 0.0.4 of `families`. */
export function formatMetrics(families: readonly MetricFamily[]): string {
  return families
    .map(({ name, kind, help, samples }) => {
      const lines = samples.map(
        ({ labels = {}, value }) => `${name}${formatLabels(labels)} ${formatValue(value)}`,
      )
      return [`# HELP ${name} ${escapeText(help)}`, `# TYPE ${name} ${kind}`, ...lines, ''].join('\n')
    })
    .join('')
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([key, value]) => `${key}="${escapeText(value).replaceAll('"', '\\"')}"`,
  )
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function formatValue(value: number): string {
  if (Number.isFinite(value)) return String(value)
  if (Number.isNaN(value)) return 'NaN'
  return value > 0 ? '+Inf' : '-Inf'
}
