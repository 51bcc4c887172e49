import { getServers } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { relayAddressesSchema } from '../../shared/identity/credentials.ts'
import { fromJson } from '../../shared/json.ts'
import { networkChoiceSchema } from '../../shared/network/choice.ts'
import { parseProxyUrl } from '../../shared/network/route.ts'
import type { Rules } from '../../shared/policy/rule.ts'
import { rulesPath } from '../agent.ts'
import { readRulesFile } from '../rules/file.ts'
import { parseRules } from '../rules/parse.ts'
import type { LookUp, Reach } from './ip-allow.ts'

const settingsPart = v.object({ relays: relayAddressesSchema, network: v.optional(networkChoiceSchema, {}) })

/** Most addresses of one name that are let through. */
const MAX_ADDRESSES = 64

/**
 * What the agent of a data directory has to reach, read by somebody who may be another user.
 * @throws {TunnelError} POLICY, PERMISSIONS, CONFIG
 */
export async function readReach(directory: string): Promise<Reach> {
  return {
    rules: await readRules(rulesPath(directory)),
    ways: await readWays(directory),
    nameServers: getServers(),
  }
}

/** All addresses by the way the agent itself resolves names first. */
export const systemLookUp: LookUp = async (host) => {
  const answers = await lookup(host, { all: true })
  return [...new Set(answers.map(({ address }) => address))].slice(0, MAX_ADDRESSES)
}

async function readRules(path: string): Promise<Rules> {
  const text = await readWhole(path)
  return text === undefined ? new Map() : parseRules(text, path)
}

/**
 * The hosts of the relays and of the proxy in settings.json; with a proxy the relays stay, for where it is not used.
 * @throws {TunnelError} CONFIG where a PAC file decides, which may name any proxy
 */
async function readWays(directory: string): Promise<string[]> {
  const text = await readWhole(join(directory, 'settings.json'))
  // What is not right here, the agent itself complains of when it starts.
  const parsed = fromJson(text ?? '', settingsPart)
  if (!parsed.success) return []
  const { relays, network } = parsed.output
  if (network.pac !== undefined) {
    throw new TunnelError('CONFIG', 'A PAC file chooses the proxies, so they are not known beforehand.', {
      next: 'name the proxy instead: sallyport agent join --replace --proxy URL; or leave --ip-allow out',
    })
  }
  const hosts = relays.map(({ host }) => host)
  const { proxy } = network
  return proxy === undefined || proxy === 'direct' ? hosts : [...hosts, parseProxyUrl(proxy).route.host]
}

/** The whole file, read with the same care as the rules; undefined where there is none. */
async function readWhole(path: string): Promise<string | undefined> {
  try {
    return await readRulesFile(path)
  } catch (err) {
    if (isTunnelError(err) && err.code === 'NOT_FOUND') return undefined
    throw err
  }
}
