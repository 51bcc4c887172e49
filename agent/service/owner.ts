import { stat } from 'node:fs/promises'
import { TunnelError } from '../../shared/errors.ts'

/** What it takes to become another user. */
export interface Identity {
  /** Undefined on Windows. */
  readonly uid: number | undefined
  become(uid: number, gid: number): void
}

const processIdentity: Identity = {
  get uid() {
    return process.getuid?.()
  },
  become(uid, gid) {
    process.setgroups?.([])
    process.setgid?.(gid)
    process.setuid?.(uid)
  },
}

/**
 * Root that works on the data of a service does it as the user of the service, for good: files belong to who must read them,
 * and what a service that was taken over might have laid there (a link in a file's place) is followed with no more rights
 * than it has itself. Nothing happens where this is not root, or the directory is root's own or not there.
 */
export async function actAsOwner(directory: string, identity: Identity = processIdentity): Promise<void> {
  if (identity.uid !== 0) return
  const owner = await stat(directory).catch(() => undefined)
  if (owner === undefined || owner.uid === 0) return
  try {
    identity.become(owner.uid, owner.gid)
  } catch (cause) {
    throw new TunnelError('PERMISSIONS', `Cannot act as the owner of ${directory}.`, { cause })
  }
}
