import { parseDuration } from '../../shared/config/duration.ts'
import { writePrivateFile } from '../../shared/config/private-file.ts'
import { askAll } from '../ask-all.ts'
import { askRelay, type CommandContext } from '../ask-relay.ts'
import { addOperator, listOperators, removeOperator } from '../operations/operators.ts'
import { OPERATOR_TOKEN_LIFE } from './tokens.ts'

/** `sallyport relay operator add`. */
export async function operatorAdd(
  options: CommandContext & { name: string; for: string; out?: string },
): Promise<void> {
  const { name, output, out = `${name}.token` } = options
  const lifeMs = parseDuration(options.for, OPERATOR_TOKEN_LIFE)
  const { token, id, expiresAt } = await askRelay(options, addOperator, { name, lifeMs })
  await writePrivateFile(out, `${token}\n`)
  output.result({ id, name, file: out, expiresAt }, [
    `${out} holds a token of the operator, good until ${new Date(expiresAt).toISOString()} or the next restart; keep it secret`,
    `next, elsewhere: sallyport login --relay URL --key-file ${out}`,
  ])
}

/** `sallyport relay operator list`. */
export async function operatorList(options: CommandContext): Promise<void> {
  const items = await askAll((page) => askRelay(options, listOperators, page))
  options.output.result(
    { operators: items },
    items.length === 0
      ? 'the operator acts on the machine of the relay only'
      : items.map(({ id, name, expiresAt }) => `${id}  ${name}  until ${new Date(expiresAt).toISOString()}`),
  )
}

/** `sallyport relay operator remove`. */
export async function operatorRemove(options: CommandContext & { id: string }): Promise<void> {
  const { id, output } = options
  await askRelay(options, removeOperator, { operator: id })
  output.result({ operator: id }, `token ${id} is of no use any more`)
}
