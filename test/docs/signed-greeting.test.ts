import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { SIGNED_AGENT_PATH } from '../../shared/handshake/signed-hello.ts'
import { agentTranscript } from '../../shared/identity/hello-proof.ts'
import {
  OFFER_PATH,
  offerSchema,
  SEALED_PATH,
  sealedContentSchema,
  sealedRequestSchema,
} from '../../shared/identity/sealed-request.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/protocol.md'), 'utf8')

/** The first cells of a table, without its head. */
function keys(name: string): string[] {
  const [, after = ''] = PAGE.split(`<!-- table: ${name} -->\n`)
  const rows = after.slice(0, after.search(/\n(?!\|)/)).split('\n')
  return rows.slice(2).map((row) => row.split('|')[1]?.trim().replaceAll('`', '') ?? '')
}

describe('what docs/protocol.md says of inspectors', () => {
  it('has the bytes that an agent signs', () => {
    const [, after = ''] = PAGE.split('```hex signed-hello\n')
    const context = {
      serverName: 'relay.example.org',
      relayNonce: Buffer.alloc(32, 1),
      agentNonce: Buffer.alloc(32, 2),
    }
    assert.equal(
      agentTranscript(context, Buffer.from([0xa0])).toString('hex'),
      after.slice(0, after.indexOf('```')).replace(/\s+/g, ''),
    )
  })

  it('has the keys and the paths of the code', () => {
    assert.deepEqual(keys('offer'), Object.keys(offerSchema.entries))
    assert.deepEqual(keys('sealed-request'), Object.keys(sealedRequestSchema.entries))
    assert.deepEqual(keys('sealed-content'), Object.keys(sealedContentSchema.entries))
    for (const path of [SIGNED_AGENT_PATH, OFFER_PATH, SEALED_PATH]) assert.ok(PAGE.includes(`${path}`), path)
  })
})
