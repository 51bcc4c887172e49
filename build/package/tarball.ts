import { join } from 'node:path'
import { runTool } from './tool.ts'
import { type TreeFile, writeTree } from './tree.ts'

export interface TarballOptions {
  /** Without `.tar.gz`; also the one directory in it. */
  readonly name: string
  readonly files: readonly TreeFile[]
  /** Seconds since 1970. */
  readonly epoch: number
  readonly work: string
  readonly out: string
}

/** Makes a .tar.gz, which every system can open, Windows among them. @returns its name in `out` */
export async function makeTarball({ name, files, epoch, work, out }: TarballOptions): Promise<string> {
  const parent = join(work, `${name}-tar`)
  await writeTree(join(parent, name), files, epoch)
  const file = `${name}.tar.gz`
  await runTool('tar', [
    ...['--create', '--file', join(out, file), '--use-compress-program', 'gzip -n -6'],
    ...['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--format=ustar', `--mtime=@${epoch}`],
    ...['--hard-dereference', '--directory', parent, name],
  ])
  return file
}
