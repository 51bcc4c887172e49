import { getServers } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { isTunnelError } from '../../shared/errors.ts'
import { relayAddressesSchema } from '../../shared/identity/credentials.ts'
import type { Rules } from '../../shared/policy/rule.ts'
import { rulesPath } from '../agent.ts'
import { readRulesFile } from '../rules/file.ts'
import { parseRules } from '../rules/parse.ts'
import type { LookUp, Reach } from './ip-allow.ts'

const settingsPart = v.object({ relays: relayAddressesSchema })

/** Most addresses of one name that are let through. */
const MAX_ADDRESSES = 64

/**
 * What the agent of a data directory has to reach, read by somebody who may be another user.
 * @throws {TunnelError} POLICY, PERMISSIONS
 */
export async function readReach(directory: string): Promise<Reach> {
  const relays = await readRelays(directory)
  return {
    rules: await readRules(rulesPath(directory)),
    ways: relays,
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

async function readRelays(directory: string): Promise<string[]> {
  const text = await readWhole(join(directory, 'settings.json'))
  // What is not right here, the agent itself complains of when it starts.
  const parsed = v.safeParse(settingsPart, parseJson(text ?? ''))
  return parsed.success ? parsed.output.relays.map(({ host }) => host) : []
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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
