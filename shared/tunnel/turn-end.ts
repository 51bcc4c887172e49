let due: (() => void)[] = []

/**
 * Calls `action` once at the end of this turn of the event loop, in the order of the calls. One callback of the loop does for
 * all, however many sockets have something to write.
 */
export function atTurnEnd(action: () => void): void {
  if (due.push(action) === 1) setImmediate(runDue)
}

function runDue(): void {
  const actions = due
  due = []
  let done = 0
  try {
    while (done < actions.length) actions[done++]?.()
  } finally {
    // What throws is a bug, and must not take the turn of the others with it.
    for (const action of actions.slice(done)) atTurnEnd(action)
  }
}
