import * as v from 'valibot'
import { applyDocument } from '../declare/apply.ts'
import { ACTIONS } from '../declare/diff.ts'
import {
  type Document,
  documentFields,
  documentOf,
  documentSchema,
  SECTION_NAMES,
} from '../declare/document.ts'
import { checkReading, type Draft, draftOf } from '../declare/plan.ts'
import { READ_RIGHTS, readContents } from '../declare/state.ts'
import { requireTenant, tenantField, tenantPlace } from './input.ts'
import { operation } from './operation.ts'
import { may } from './run.ts'

const PATH = '/tenants/{tenant}/declaration'

const planOutput = {
  tenant: v.string(),
  /** What `declare.apply` has to name. It is another one as soon as anything in these sections is. */
  digest: v.string(),
  /** Sections that are managed: complete as they stand there. */
  sections: v.array(v.string()),
  changes: v.array(
    v.object({
      action: v.picklist(ACTIONS),
      section: v.string(),
      name: v.string(),
      /** What is not as it is wanted; nothing of what is removed. */
      fields: v.array(
        v.object({ field: v.string(), from: v.optional(v.unknown()), to: v.optional(v.unknown()) }),
      ),
    }),
  ),
}

export const planDeclaration = operation({
  name: 'declare.plan',
  summary: 'show what is not as it is declared; nothing changes',
  http: { method: 'POST', path: `${PATH}/plan` },
  // Each section wants the right that shows it.
  right: 'tenant:read',
  input: v.strictObject({ ...tenantField, ...documentFields }),
  output: v.object(planOutput),
  place: tenantPlace,
  async run(context, { tenant, ...document }) {
    await checkReading(context, tenant, document)
    await requireTenant(context.relay, tenant)
    return shown(await draftOf(context, context.relay.authority.store, tenant, document))
  },
})

export const applyDeclaration = operation({
  name: 'declare.apply',
  summary: 'make a tenant what is declared: all of it, or nothing',
  http: { method: 'POST', path: `${PATH}/apply` },
  // Each change wants the right that it wants when it is made by hand.
  right: 'tenant:read',
  isChange: true,
  input: v.strictObject({
    ...tenantField,
    ...documentFields,
    digest: v.pipe(v.string(), v.maxLength(64)),
  }),
  output: v.object({
    ...planOutput,
    /** Secrets that are shown this once. */
    issued: v.array(
      v.object({
        kind: v.picklist(['connector', 'machine', 'delivery']),
        name: v.string(),
        environment: v.optional(v.string()),
        content: v.string(),
      }),
    ),
    /** What could not follow the change, which holds all the same. */
    warnings: v.array(v.string()),
  }),
  place: tenantPlace,
  async run(context, { tenant, digest, ...document }) {
    await checkReading(context, tenant, document)
    await requireTenant(context.relay, tenant)
    const { issued, warnings, ...draft } = await applyDocument(context, tenant, document, digest)
    return { ...shown(draft), issued: [...issued], warnings: [...warnings] }
  },
})

export const exportDeclaration = operation({
  name: 'declare.export',
  summary: 'show a tenant as it would be declared, without secrets',
  http: { method: 'GET', path: PATH },
  right: 'tenant:read',
  input: v.strictObject(tenantField),
  output: v.object({
    tenant: v.string(),
    declaration: documentSchema,
    /** Sections that the caller may not read. */
    left: v.array(v.string()),
  }),
  place: tenantPlace,
  async run(context, { tenant }) {
    const { relay } = context
    await requireTenant(relay, tenant)
    const readable = await Promise.all(
      SECTION_NAMES.map((name) => may(context, READ_RIGHTS[name], { tenantId: tenant })),
    )
    const sections = SECTION_NAMES.filter((_, at) => readable[at])
    const contents = await readContents(relay.authority.store, tenant, sections)
    const declaration: Document = documentOf(contents)
    return { tenant, declaration, left: SECTION_NAMES.filter((_, at) => !readable[at]) }
  },
})

function shown({ tenantId, digest, sections, changes }: Draft) {
  return {
    tenant: tenantId,
    digest,
    sections: [...sections],
    changes: changes.map(({ action, section, name, fields }) => ({
      ...{ action, section, name, fields: [...fields] },
    })),
  }
}
