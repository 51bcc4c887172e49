import { type Effects, realEffects } from '../../shared/effects.ts'

/** The real effects with a clock that runs `factor` times as fast, so that minutes pass in seconds. */
export function fastEffects(factor: number): Effects {
  const began = { now: realEffects.now(), date: realEffects.date() }
  const passed = () => (realEffects.now() - began.now) * factor
  return {
    ...realEffects,
    now: () => began.now + passed(),
    date: () => Math.round(began.date + passed()),
    after: (ms, callback) => realEffects.after(ms / factor, callback),
    sleep: (ms, signal) => realEffects.sleep(ms / factor, signal),
  }
}

/** The real effects with a calendar that a test can put forward; whoever sleeps then wakes and looks at it. */
export interface JumpingEffects extends Effects {
  jump(ms: number): void
}

export function jumpingEffects(): JumpingEffects {
  let ahead = 0
  let jumped = new AbortController()
  return {
    ...realEffects,
    date: () => realEffects.date() + ahead,
    async sleep(ms, signal) {
      const woken = jumped.signal
      await realEffects.sleep(ms, AbortSignal.any([signal, woken])).catch((reason: unknown) => {
        if (!woken.aborted || signal.aborted) throw reason
      })
    },
    jump(ms) {
      ahead += ms
      const woken = jumped
      jumped = new AbortController()
      woken.abort()
    },
  }
}
