import * as v from 'valibot'
import { isWrapperRange } from '../../shared/policy/address.ts'
import { parseCidr } from '../../shared/policy/cidr.ts'
import { parseHost } from '../../shared/policy/host.ts'
import { type Parsed, refused } from '../../shared/policy/parsed.ts'
import { type HttpRule, PROBE_KINDS, type ProbeKind, type Rule } from '../../shared/policy/rule.ts'
import { parseHostPort } from '../../shared/wire/host-port.ts'

const MAX_LIST = 64
const MAX_TEXT = 1024

/** Every key of a resource, with its rule and an example: half of each message about it. */
export const KEYS = {
  protocol: 'must be "tcp" or "http"',
  host: 'must be one DNS name or address, such as host = "db.corp.example"; the port goes into port',
  port: 'must be a whole number from 1 to 65535, such as port = 5432',
  cidr: 'must be a range or a list of at most 64, such as cidr = "10.20.0.0/16"',
  expect: 'must be "private" or "public"',
  allow_loopback: 'must be true or false',
  allow_link_local: 'must be true or false',
  allow_metadata: 'must be true or false',
  methods: 'must be a list of at most 64 upper-case methods, such as methods = ["GET", "POST"]',
  path_prefixes: 'must be a list of at most 64 plain paths, such as path_prefixes = ["/api/"]',
  host_header: 'must be HOST or HOST:PORT, such as host_header = "intranet.corp.example"',
  max_streams: 'must be a whole number from 1 to 4096',
  detail: 'must be true or false',
  resume: 'must be true or false',
  probe: `must be one of ${PROBE_KINDS.join(', ')}`,
} as const

/** Another hello would reach an HTTP target past its methods and paths. */
const HTTP_PROBES: readonly ProbeKind[] = ['http', 'tcp', 'none']

const HTTP_ONLY = ['methods', 'path_prefixes', 'host_header'] as const

const FLAG = v.optional(v.boolean(), false)
const METHOD = v.pipe(
  v.string(),
  v.regex(/^[A-Z][A-Z-]{0,31}$/),
  v.check((method) => method !== 'CONNECT' && method !== 'TRACE', 'CONNECT and TRACE never pass'),
)
const PATH_PREFIX = v.pipe(
  v.string(),
  v.maxLength(MAX_TEXT),
  // What requestDenial would refuse in a path could never match as a prefix.
  v.regex(
    /^\/(?!.*(?:\/\/|\/\.{1,2}(?:[/;]|$)|%(?:25|2e|2f|3b|5c|00)))[\x21-\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*$/i,
  ),
)
const HOST_HEADER = v.pipe(
  v.string(),
  v.check((text) => parseHostPort(text).ok || parseHostPort(`${text}:80`).ok),
)

/** One table [resources.NAME] as it is written. */
export const ENTRY = v.pipe(
  v.strictObject({
    protocol: v.picklist(['tcp', 'http']),
    host: v.pipe(v.string(), readBy(parseHost)),
    port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
    cidr: v.optional(
      v.pipe(
        v.unknown(),
        v.transform((value) => (typeof value === 'string' ? [value] : value)),
        v.array(v.pipe(v.string(), readBy(parseRuleCidr))),
        v.minLength(1),
        v.maxLength(MAX_LIST),
      ),
    ),
    expect: v.optional(v.picklist(['private', 'public'])),
    allow_loopback: FLAG,
    allow_link_local: FLAG,
    allow_metadata: FLAG,
    methods: v.optional(v.pipe(v.array(METHOD), v.minLength(1), v.maxLength(MAX_LIST))),
    path_prefixes: v.optional(v.pipe(v.array(PATH_PREFIX), v.minLength(1), v.maxLength(MAX_LIST))),
    host_header: v.optional(HOST_HEADER),
    max_streams: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(4096))),
    detail: FLAG,
    resume: v.optional(v.boolean(), true),
    probe: v.optional(v.picklist(PROBE_KINDS)),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const input = dataset.value
    const refuse = (key: keyof typeof input, message: string) => {
      const path = [{ type: 'object', origin: 'value', input, key, value: input[key] }] as const
      addIssue({ message, path: [...path] })
    }
    if (input.protocol === 'http') {
      const isHttp = input.probe === undefined || HTTP_PROBES.includes(input.probe)
      if (!isHttp) refuse('probe', 'with protocol = "http" only http, tcp and none')
      return
    }
    for (const key of HTTP_ONLY) {
      if (input[key] !== undefined) refuse(key, 'only for protocol = "http"')
    }
  }),
)

/** The rule that a checked table stands for. */
export function ruleOf(resource: string, entry: v.InferOutput<typeof ENTRY>): Rule {
  return {
    resource,
    protocol: entry.protocol,
    host: entry.host,
    port: entry.port,
    cidrs: entry.cidr ?? [],
    ...(entry.expect && { expect: entry.expect }),
    allowLoopback: entry.allow_loopback,
    allowLinkLocal: entry.allow_link_local,
    allowMetadata: entry.allow_metadata,
    ...(entry.protocol === 'http' && { http: httpOf(entry) }),
    ...(entry.max_streams && { maxStreams: entry.max_streams }),
    detail: entry.detail,
    resume: entry.resume,
    ...(entry.probe && { probe: entry.probe }),
  }
}

function httpOf(entry: v.InferOutput<typeof ENTRY>): HttpRule {
  return {
    methods: entry.methods ?? [],
    pathPrefixes: entry.path_prefixes ?? [],
    ...(entry.host_header !== undefined && { hostHeader: entry.host_header }),
  }
}

function parseRuleCidr(text: string) {
  const cidr = parseCidr(text)
  // An answer in these forms is judged by the IPv4 address inside, so such a range would match nothing.
  return cidr.ok && isWrapperRange(cidr.value) ? refused('write the IPv4 range that it wraps') : cidr
}

function readBy<T>(parse: (text: string) => Parsed<T>) {
  return v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
    const result = parse(dataset.value)
    if (result.ok) return result.value
    addIssue({ message: result.reason })
    return NEVER
  })
}
