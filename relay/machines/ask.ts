import { writePrivateFile } from '../../shared/config/private-file.ts'
import { askAll } from '../ask-all.ts'
import { askRelay, type CommandContext } from '../ask-relay.ts'
import { call } from '../control-commands.ts'
import { addMachine, listMachines, revokeMachine } from '../operations/machines.ts'

interface Context extends CommandContext {
  readonly tenant: string
}

/** `sallyport relay machine add`. */
export async function machineAdd(
  options: Context & {
    name: string
    role: string
    env?: string
    site?: string
    inProduction?: boolean
    out?: string
  },
): Promise<void> {
  const { name, role, site, inProduction: viaApi = false, output } = options
  const file = options.out ?? `${name}.client.json`
  const where = site === undefined ? {} : { site }
  const made = await call(options, addMachine, { machine: name, role, viaApi, ...where })
  const content = { client_id: made.clientId, client_secret: made.clientSecret }
  await writePrivateFile(file, `${JSON.stringify(content)}\n`)
  output.result({ machine: name, role, file, clientId: made.clientId }, [
    `${file} holds the secret of ${name}, which asks the API as ${role}; keep it secret`,
    'next: POST /api/v1/oauth/token with grant_type=client_credentials, client_id and client_secret',
  ])
}

/** `sallyport relay machine revoke`. */
export async function machineRevoke(options: Context & { name: string }): Promise<void> {
  const { tenant, name, output } = options
  await askRelay(options, revokeMachine, { tenant, machine: name })
  output.result({ machine: name }, `${name} is revoked`)
}

/** `sallyport relay machine list`. */
export async function machineList(options: Context): Promise<void> {
  const { tenant, output } = options
  const items = await askAll((page) => askRelay(options, listMachines, { tenant, ...page }))
  output.result(
    { machines: items },
    items.length === 0
      ? 'no machine asks the API: sallyport relay machine add NAME --role ROLE'
      : items.map(
          ({ machine, clientId, role, environment = '(all)', site = '', viaApi }) =>
            `${machine}  ${role}  ${environment} ${site}  ${clientId}${viaApi ? '  in production too' : ''}`,
        ),
  )
}
