import * as v from 'valibot'
import { NAME_PATTERN } from '../../shared/identity/names.ts'
import { ROLES } from '../access/rights.ts'
import { DELIVERY_LIMITS } from '../audit/delivery/deliveries.ts'
import { copyResponse } from '../operations/copies.ts'
import { lockoutFailures } from '../operations/people.ts'
import { CA_MAX, RESTRICTIONS_MAX } from '../operations/restrictions.ts'
import { RANGES_MAX } from '../restrictions/restriction.ts'
import { clientSecret, PROVIDER_LIMITS, providerSettings } from '../sso/provider.ts'
import { FREEZE_KINDS } from '../store/access-store.ts'
import { RESTRICTION_KINDS } from '../store/restriction-store.ts'
import { LIST_MAX } from '../store/store.ts'

/** Limits of what may be declared of one tenant. */
export const DECLARE_LIMITS = {
  /** Items of a section, where the thing itself has no lower limit. */
  items: LIST_MAX - 1,
  environments: 100,
  /** Targets of one restriction. */
  targets: 1_000,
  /** Changes that are made at once. */
  changes: 2_000,
} as const

const name = v.pipe(v.string(), v.regex(NAME_PATTERN, 'name'))
const resource = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,62}\/[a-z0-9][a-z0-9-]{0,62}$/, 'SITE/RESOURCE'),
)
const short = v.pipe(v.string(), v.maxLength(512))
const certificates = (longest: number) => v.pipe(v.string(), v.maxLength(longest))

/** One that is left out stays as it is. */
const settings = v.strictObject({
  /** After how many logins that failed an account is locked. */
  lockoutFailures: v.optional(lockoutFailures),
  /** What is done about an agent of which there are two. */
  copies: v.optional(copyResponse),
  /** Whether people need a second factor. */
  secondFactor: v.optional(v.boolean()),
})

const environment = v.strictObject({
  environment: name,
  isProduction: v.boolean(),
})

const restriction = v.strictObject({
  restriction: name,
  ranges: v.optional(v.pipe(v.array(short), v.maxLength(RANGES_MAX)), []),
  /** One certificate in PEM. */
  ca: v.optional(certificates(CA_MAX)),
  /** What it is attached to, as in `restriction.attach`. */
  targets: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          kind: v.picklist(RESTRICTION_KINDS),
          /** Of a connector, a resource or a publication. */
          environment: v.optional(short),
          /** Nothing for the logins. */
          target: v.optional(short),
        }),
      ),
      v.maxLength(DECLARE_LIMITS.targets),
    ),
    [],
  ),
})

const connector = v.strictObject({ environment: name, connector: name })

const grant = v.strictObject({
  environment: name,
  connector: name,
  resource,
  /** RFC 3339. */
  expiresAt: v.optional(v.pipe(v.string(), v.isoTimestamp())),
  /** Such as `mon-fri 08:00-18:00 Europe/Berlin`. */
  hours: v.optional(short),
})

const publication = v.strictObject({
  environment: name,
  resource,
  kind: v.picklist(['tcp', 'host', 'sni']),
  address: short,
})

const delivery = v.strictObject({
  delivery: name,
  kind: v.picklist(['webhook', 'syslog']),
  target: v.pipe(v.string(), v.maxLength(2_048)),
  /** Certificates in PEM. */
  ca: v.optional(certificates(65_536)),
})

const provider = v.strictObject({
  provider: name,
  settings: providerSettings,
  /** The client secret; what is kept stays where there is none. It is never exported. */
  secret: v.optional(clientSecret),
})

const place = {
  environment: v.optional(short),
  site: v.optional(short),
  viaApi: v.optional(v.boolean(), false),
}

const machine = v.strictObject({ machine: name, role: v.picklist(ROLES), ...place })

const role = v.strictObject({
  /** Login name of somebody who is there. */
  person: short,
  role: v.picklist(ROLES),
  ...place,
})

const freeze = v.strictObject({
  kind: v.picklist(FREEZE_KINDS),
  /** Of all but the tenant. */
  environment: v.optional(short),
  /** Of all but the tenant. */
  name: v.optional(short),
  reason: v.optional(short, ''),
})

function many<Item extends v.GenericSchema>(item: Item, longest: number = DECLARE_LIMITS.items) {
  return v.optional(v.pipe(v.array(item), v.maxLength(longest)))
}

/** What may be declared of a tenant. A section that is left out is not managed; one that is there is complete. */
export const documentFields = {
  settings: v.optional(settings),
  environments: many(environment, DECLARE_LIMITS.environments),
  restrictions: many(restriction, RESTRICTIONS_MAX),
  connectors: many(connector),
  grants: many(grant),
  publications: many(publication),
  deliveries: many(delivery, DELIVERY_LIMITS.perTenant),
  providers: many(provider, PROVIDER_LIMITS.count),
  machines: many(machine),
  roles: many(role),
  freezes: many(freeze),
}

export const documentSchema = v.strictObject(documentFields)

/** What is declared of a tenant. */
export type Document = v.InferOutput<typeof documentSchema>

/** One thing of each section. */
export interface Items {
  settings: v.InferOutput<typeof settings>
  environments: v.InferOutput<typeof environment>
  restrictions: v.InferOutput<typeof restriction>
  connectors: v.InferOutput<typeof connector>
  grants: v.InferOutput<typeof grant>
  publications: v.InferOutput<typeof publication>
  deliveries: v.InferOutput<typeof delivery>
  providers: v.InferOutput<typeof provider>
  machines: v.InferOutput<typeof machine>
  roles: v.InferOutput<typeof role>
  freezes: v.InferOutput<typeof freeze>
}

export type SectionName = keyof Items

/** In the order in which what they say is made: what others need comes first. */
export const SECTION_NAMES = Object.keys(documentFields) as readonly SectionName[]

/** Sections with what they hold; the settings of a tenant are one thing. */
export type Contents = { readonly [Name in SectionName]?: readonly Items[Name][] | undefined }

/** A document as lists. */
export function contentsOf({ settings, ...lists }: Document): Contents {
  return { ...(settings === undefined ? {} : { settings: [settings] }), ...lists }
}

/** Lists as a document. */
export function documentOf({ settings, ...lists }: Contents): Document {
  const [only] = settings ?? []
  const named = Object.entries(lists).filter(([, list]) => list !== undefined)
  return { ...(only === undefined ? {} : { settings: only }), ...(Object.fromEntries(named) as Document) }
}
