import type * as v from 'valibot'
import type { Secret } from '../../shared/secret.ts'
import type { Relay } from '../relay.ts'
import type { ApiCaller, Presented, RequestOrigin } from './caller.ts'

/** A request to a route that anybody may call. */
export interface OpenRequest<Input> {
  readonly relay: Relay
  readonly input: Input
  readonly origin: RequestOrigin
  /** Whom a session or token that came along names; undefined without one, or where it does not hold. */
  readonly caller: ApiCaller | undefined
  /** The session or credentials that came along, whether they hold or not. */
  readonly presented: Presented | undefined
  /** Cookies whose names begin with `__Host-sallyport`, the session's among them. */
  readonly cookies: ReadonlyMap<string, Secret<string>>
  readonly signal: AbortSignal
}

/** A page for a browser. Nothing of it is from outside unescaped. */
export interface HtmlPage {
  readonly text: string
  /** Exactly what stands between `<script>` and `</script>`, where it has one: no other script runs. */
  readonly script?: string
}

export interface OpenAnswer<Output extends object> {
  /** 200 where it is left out. */
  readonly status?: number
  /** Sent as JSON. Left out: no body, as for a redirect. */
  readonly body?: Output
  /** Sent as HTML in the place of a body. */
  readonly html?: HtmlPage
  /** Sent as SAML metadata in the place of a body. */
  readonly xml?: string
  /** How to prove oneself, as `WWW-Authenticate` says it. */
  readonly challenge?: string
  /** Where a redirect leads. */
  readonly location?: string
  /** Values of `Set-Cookie`: see `cookie` of relay/api/cookie.ts. */
  readonly cookies?: readonly string[]
}

/**
 * A route that does not ask who calls, because its purpose is to find out: login, setup and reset links, single sign-on,
 * tokens of machines. It may do nothing that is an operation.
 */
export interface OpenRoute<Input = unknown, Output extends object = object> {
  /** `OBJECT.VERB`, unlike every operation's. */
  readonly name: string
  /** One line for people, an imperative without a full stop. */
  readonly summary: string
  /** Under `/api/v1`, as for an operation. */
  readonly http: { readonly method: 'GET' | 'POST'; readonly path: `/${string}` }
  /** What the caller proves, and by what, for the documents: `password and second factor in the body`. */
  readonly authentication: string
  /** How a POST's body is written; JSON where it is left out. `form`: application/x-www-form-urlencoded. */
  readonly body?: 'json' | 'form'
  /** Media type of the problem documents that it writes itself, where a standard wants another one. */
  readonly refusalType?: 'application/json'
  /** May be posted from a page of another site, as SAML does it. Elsewhere a foreign `Origin` is refused. */
  readonly isCrossSite?: boolean
  readonly input: v.GenericSchema<unknown, Input>
  readonly output: v.GenericSchema<unknown, Output>
  /** @throws {TunnelError} with a code of shared/errors.ts */
  answer(request: OpenRequest<NoInfer<Input>>): Promise<OpenAnswer<Output>>
}

/** Says what an open route is; its types follow from its schemas. */
export function openRoute<Input, Output extends object>(
  definition: OpenRoute<Input, Output>,
): OpenRoute<Input, Output> {
  return definition
}
