import type { ErrorCode } from '../../shared/errors.ts'

export type Verdict = 'OK' | 'WARN' | 'FAIL' | 'SKIPPED'

/** What one check has to say; a check may say several things. */
export interface Finding {
  readonly verdict: Verdict
  /** What was seen, or with SKIPPED why nothing was looked at. One sentence without an end mark. */
  readonly text: string
  /** With WARN and FAIL: the code under which the agent would meet it. */
  readonly code?: ErrorCode
  /** With WARN and FAIL: who has to do what. */
  readonly remedy?: string
  /** The same for programs. Holds no secret. */
  readonly evidence?: Readonly<Record<string, unknown>>
}

type Evidence = NonNullable<Finding['evidence']>

export function ok(text: string, evidence: Evidence = {}): Finding {
  return { verdict: 'OK', text, evidence }
}

/** It works, but something on the way costs time or will break later. */
export function warn(code: ErrorCode, text: string, remedy: string, evidence: Evidence = {}): Finding {
  return { verdict: 'WARN', code, text, remedy, evidence }
}

/** It does not work. */
export function fail(code: ErrorCode, text: string, remedy: string, evidence: Evidence = {}): Finding {
  return { verdict: 'FAIL', code, text, remedy, evidence }
}

export function skipped(because: string): Finding {
  return { verdict: 'SKIPPED', text: because }
}
