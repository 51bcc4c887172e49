import { type ErrorCode, TunnelError } from '../../shared/errors.ts'

/** What each errno of a failed connect means. What is not listed counts as no route. */
const BY_ERRNO: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: 'CONNECTION_REFUSED',
  // Some firewalls answer a SYN so; to the caller it is the same refusal.
  ECONNRESET: 'CONNECTION_REFUSED',
  ETIMEDOUT: 'CONNECT_TIMEOUT',
  EHOSTUNREACH: 'UNREACHABLE',
  ENETUNREACH: 'UNREACHABLE',
  EADDRNOTAVAIL: 'UNREACHABLE',
  // The service unit's own IPAddressDeny, or a local firewall.
  EPERM: 'UNREACHABLE',
  EACCES: 'UNREACHABLE',
  EMFILE: 'OVERLOADED',
  ENFILE: 'OVERLOADED',
  ENOBUFS: 'OVERLOADED',
  ENOMEM: 'OVERLOADED',
}

/** Of several failed addresses the one is reported that came nearest to an answer. */
const TELLING: readonly ErrorCode[] = ['CONNECTION_REFUSED', 'CONNECT_TIMEOUT', 'OVERLOADED', 'UNREACHABLE']

/** The failure of one connect; `where` is the number and port that was dialled. */
export function dialError(err: unknown, where: string): TunnelError {
  const { code: errno = 'unknown fault' } = err as NodeJS.ErrnoException
  const code = BY_ERRNO[errno] ?? 'UNREACHABLE'
  return new TunnelError(code, `${where}: ${errno}`, { leg: 'agent-target', cause: err })
}

/** The failure to report for a target of which every address failed. */
export function mostTelling(failures: readonly TunnelError[]): TunnelError {
  const named = TELLING.map((code) => failures.find((failure) => failure.code === code))
  const found = named.find((failure) => failure !== undefined) ?? failures[0]
  return found ?? new TunnelError('UNREACHABLE', 'no address')
}
