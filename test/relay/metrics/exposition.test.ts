import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatMetrics } from '../../../relay/metrics/exposition.ts'

test('a family is its help, its kind and a line for each number', () => {
  const text = formatMetrics([
    { name: 'a_total', kind: 'counter', help: 'How\\many\nthere are.', samples: [{ value: 3 }] },
    {
      name: 'b',
      kind: 'gauge',
      help: 'Some.',
      samples: [
        { labels: { at: 'x', code: 'say "no"\\\n' }, value: 0.25 },
        { labels: { at: 'y' }, value: Number.POSITIVE_INFINITY },
      ],
    },
    { name: 'none', kind: 'counter', help: 'None yet.', samples: [] },
  ])
  assert.equal(
    text,
    [
      '# HELP a_total How\\\\many\\nthere are.',
      '# TYPE a_total counter',
      'a_total 3',
      '# HELP b Some.',
      '# TYPE b gauge',
      'b{at="x",code="say \\"no\\"\\\\\\n"} 0.25',
      'b{at="y"} +Inf',
      '# HELP none None yet.',
      '# TYPE none counter',
      '',
    ].join('\n'),
  )
})
