import type * as v from 'valibot'
import type { Right, Role } from '../access/rights.ts'
import type { Act } from '../audit/record.ts'
import type { Relay } from '../relay.ts'

/** Where something is: a tenant, an environment of it, a site in that. Undefined levels mean the whole of the one above. */
export interface Place {
  readonly tenantId: string
  readonly environment?: string | undefined
  readonly site?: string | undefined
}

/** A role that somebody holds at a place. */
export interface Assignment extends Place {
  readonly role: Role
  /** True: it counts in production for callers by the API, too. Off where it is left out. */
  readonly viaApi?: boolean
}

/** Who asks for an operation. */
export type Caller =
  /** A command on the relay's own machine: the file system has let it in, and it may do everything. */
  | { readonly kind: 'operator' }
  | {
      /** `operator-token`: what the operator of the machine has lent; it holds what is of the relay as a whole, and no more. */
      readonly kind: 'person' | 'machine' | 'operator-token'
      readonly id: string
      readonly tenantId: string
      readonly assignments: readonly Assignment[]
      /**
       * `session`: a person who logged in, in a browser or by the command line. `api`: a machine, or a key that a person
       * has left with a program. What is held by `api` counts in production only where the assignment says so.
       */
      readonly via: 'session' | 'api'
      /** The session by which a person asks; undefined for keys and machines. */
      readonly sessionId?: string
      /** When a person last showed a password or a second factor, in ms since 1970. */
      readonly authenticatedAt: number
      /** True where the tenant demands a second factor that was not shown: the roles do not count then. */
      readonly lacksSecondFactor?: boolean
    }

export interface OperationContext {
  readonly relay: Relay
  readonly caller: Caller
  /** Goes into the store with every change. */
  readonly act: Act
  readonly signal: AbortSignal
}

/** One thing that can be done to a relay, and all that the channels to it need to know. */
export interface Operation<Input = unknown, Output extends object = object> {
  /** `OBJECT.VERB`, such as `connector.add`; the control channel's method and OpenAPI's operationId. */
  readonly name: string
  /** One line for people, an imperative without a full stop. */
  readonly summary: string
  /** Under `/api/v1`; names in braces are members of the input, other members are the query of a GET or the body. */
  readonly http: { readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'; readonly path: `/${string}` }
  readonly right: Right
  /** Wants a login of the last few minutes. */
  readonly isDangerous?: boolean
  /** Changes something, though its own right is one to read: whatever it refuses is on record. */
  readonly isChange?: boolean
  readonly input: v.GenericSchema<unknown, Input>
  readonly output: v.GenericSchema<unknown, Output>
  /** Where the right must be held; undefined for the relay as a whole. */
  place(input: NoInfer<Input>): Place | undefined
  /** @throws {TunnelError} with a code of shared/errors.ts; nothing was changed then */
  run(context: OperationContext, input: NoInfer<Input>): Promise<Output>
}

/** Says what an operation is; the types of its input and output follow from its schemas. */
export function operation<Input, Output extends object>(
  definition: Operation<Input, Output>,
): Operation<Input, Output> {
  return definition
}
