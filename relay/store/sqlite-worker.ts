import { parentPort, workerData } from 'node:worker_threads'
import { openToWrite } from './sqlite-file.ts'
import { failureOf, type Outcome, Statements } from './sqlite-statements.ts'
import type { WriterAnswer, WriterRequest } from './sqlite-thread.ts'

/** The thread that changes the store. It answers once it has opened the file, and then to each statement in order. */

let statements: Statements

answer(() => {
  statements = new Statements(openToWrite(String(workerData)))
  return { rows: [] }
})

parentPort?.on('message', (request: WriterRequest) => {
  if (request !== 'close') {
    answer(() => statements.run(request.sql, request.values))
    return
  }
  statements.close()
  parentPort?.close()
})

function answer(action: () => Outcome): void {
  let said: WriterAnswer
  try {
    said = { outcome: action() }
  } catch (err) {
    said = { failure: failureOf(err) }
  }
  parentPort?.postMessage(said)
}
