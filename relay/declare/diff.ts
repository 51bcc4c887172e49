import { isDeepStrictEqual } from 'node:util'
import { type Contents, type Items, SECTION_NAMES, type SectionName } from './document.ts'
import { IDENTITY, keyOf } from './keys.ts'

/** `replace`: removed and added again, since it cannot be changed: its secret is another one then. */
export const ACTIONS = ['create', 'change', 'replace', 'remove'] as const

export type Action = (typeof ACTIONS)[number]

/** A member that is not as it is wanted. */
export interface FieldChange {
  readonly field: string
  readonly from?: unknown
  readonly to?: unknown
}

interface ChangeOf<Name extends SectionName> {
  readonly section: Name
  readonly action: Action
  readonly name: string
  /** As it is; undefined where it is created. */
  readonly from: Items[Name] | undefined
  /** As it is wanted; undefined where it is removed. */
  readonly to: Items[Name] | undefined
  readonly fields: readonly FieldChange[]
}

/** One thing that is not as it is wanted. */
export type Change = { [Name in SectionName]: ChangeOf<Name> }[SectionName]

/** The changes of one section. */
export type SectionChange<Name extends SectionName> = ChangeOf<Name>

/** They are needed by others, or somebody has to be left who has them: taken away last. */
const REMOVED_LAST: ReadonlySet<SectionName> = new Set(['roles', 'restrictions', 'environments'])

const REPLACED: ReadonlySet<SectionName> = new Set(['deliveries', 'machines'])

/**
 * What has to be done so that everything in the sections of `wanted` is so and nothing else is there, in the order in which it
 * can be done.
 * @param secrets providers with a secret that is not the one that is kept
 */
export function differences(
  current: Contents,
  wanted: Contents,
  secrets: ReadonlySet<string>,
): readonly Change[] {
  const all = SECTION_NAMES.flatMap((name) => sectionChanges(name, current, wanted, secrets))
  const isRemoved = ({ action }: Change) => action === 'remove'
  const removed = all.filter(isRemoved).reverse()
  return [
    ...removed.filter(({ section }) => !REMOVED_LAST.has(section)),
    ...all.filter((change) => !isRemoved(change)),
    ...removed.filter(({ section }) => REMOVED_LAST.has(section)),
  ]
}

function sectionChanges<Name extends SectionName>(
  name: Name,
  current: { readonly [One in Name]?: readonly Items[One][] | undefined },
  wanted: { readonly [One in Name]?: readonly Items[One][] | undefined },
  secrets: ReadonlySet<string>,
): Change[] {
  const to = wanted[name]
  if (to === undefined) return []
  const before = new Map((current[name] ?? []).map((item) => [keyOf(name, item), item]))
  const after = new Map(to.map((item) => [keyOf(name, item), item]))
  const changes: ChangeOf<Name>[] = []
  for (const [key, item] of after) {
    const change = changeOf(name, key, before.get(key), item)
    const fields = [...change.fields, ...secretChange(name, key, secrets)]
    if (change.from === undefined || fields.length > 0) changes.push({ ...change, fields })
  }
  for (const [key, from] of before) {
    if (after.has(key)) continue
    changes.push({ section: name, action: 'remove', name: key, from, to: undefined, fields: [] })
  }
  changes.sort((one, other) => (one.name < other.name ? -1 : 1))
  return changes as unknown as Change[]
}

function changeOf<Name extends SectionName>(
  section: Name,
  name: string,
  from: Items[Name] | undefined,
  to: Items[Name],
): ChangeOf<Name> {
  const identity = new Set<PropertyKey>(IDENTITY[section])
  const members = new Set([...Object.keys(from ?? {}), ...Object.keys(to)])
  const fields = [...members]
    .filter((field) => !identity.has(field))
    .map((field) => fieldChange(field, from, to))
    .filter((field) => !isDeepStrictEqual(field.from, field.to))
  return { section, action: actionOf(section, from, to), name, from, to, fields }
}

function fieldChange(field: string, from: object | undefined, to: object): FieldChange {
  const before = (from as Readonly<Record<string, unknown>> | undefined)?.[field]
  const after = (to as Readonly<Record<string, unknown>>)[field]
  return {
    field,
    ...(before === undefined ? {} : { from: before }),
    ...(after === undefined ? {} : { to: after }),
  }
}

function actionOf<Name extends SectionName>(
  name: Name,
  from: Items[Name] | undefined,
  to: Items[Name],
): Action {
  if (from === undefined) return 'create'
  return REPLACED.has(name) || kindOf(name, from) !== kindOf(name, to) ? 'replace' : 'change'
}

/** A provider of another kind is another one. */
function kindOf(name: SectionName, item: object): string {
  return name === 'providers' && 'settings' in item ? String((item.settings as { kind: string }).kind) : ''
}

function secretChange(name: SectionName, key: string, secrets: ReadonlySet<string>): FieldChange[] {
  return name === 'providers' && secrets.has(key) ? [{ field: 'secret', to: '(new)' }] : []
}
