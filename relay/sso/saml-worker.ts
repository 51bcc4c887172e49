import { parentPort } from 'node:worker_threads'
import { loadSamlLibrary, readSamlMessage, type SamlJob } from './saml-message.ts'

/**
 * The thread in which messages of SAML providers are parsed, one after the other. Whoever started it ends it; here nothing
 * watches the clock.
 */

// Not awaited at the top, which a script for a single executable may not have. A rejection ends the thread with it.
void loadSamlLibrary().then(() => {
  parentPort?.on('message', (job: SamlJob) => {
    void readSamlMessage(job).then((answer) => parentPort?.postMessage(answer))
  })
  parentPort?.postMessage('ready')
})
