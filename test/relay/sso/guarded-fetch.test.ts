import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type GuardOptions, guardedFetch } from '../../../relay/sso/guarded-fetch.ts'
import { realEffects } from '../../../shared/effects.ts'

function fetchBy(addresses: readonly string[], insideHosts: readonly string[] = []) {
  const options: GuardOptions = {
    effects: realEffects,
    insideHosts: new Set(insideHosts),
    resolve: async () => addresses,
  }
  return guardedFetch(options)
}

const refused = (message: RegExp) => ({ code: 'IDENTITY_PROVIDER', message })

test('S39: a name that leads inside is not asked, whatever form the address has', async () => {
  for (const address of [
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
    'fd00::1',
    '0.0.0.0',
    '100.64.0.1',
  ]) {
    await assert.rejects(fetchBy([address])('https://idp.example/'), refused(/which is/), address)
  }
})

test('S39: one address inside among others is enough to ask none', async () => {
  await assert.rejects(fetchBy(['192.0.2.1', '10.0.0.1'])('https://idp.example/'), refused(/private/))
})

test('S39: an address in the URL counts as it stands', async () => {
  for (const host of ['127.0.0.1', '[::1]', '2130706433', '0x7f.1']) {
    await assert.rejects(fetchBy(['8.8.8.8'])(`https://${host}/`), refused(/loopback/), host)
  }
})

test('S39: a host that the operator has named may be inside, but never a metadata service', async () => {
  await assert.rejects(fetchBy(['169.254.169.254'], ['idp.corp'])('https://idp.corp/'), refused(/metadata/))
  // Nobody listens there: it was asked.
  await assert.rejects(fetchBy(['127.0.0.1'], ['idp.corp'])('https://IDP.corp:1/'), refused(/ECONNREFUSED/))
})

test('plain HTTP is not used', async () => {
  await assert.rejects(fetchBy(['8.8.8.8'])('http://idp.example/'), refused(/HTTPS/))
})
