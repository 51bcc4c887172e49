import { rename } from 'node:fs/promises'
import type { Signing } from './signing.ts'
import { runTool } from './tool.ts'

export interface AuthenticodeOptions {
  readonly signing: Signing['authenticode']
  /** Signing time in seconds since 1970, so that a build can be made again. A time stamp of a service counts instead. */
  readonly epoch: number
}

/** Signs a Windows program or package in its place. */
export async function signAuthenticode(path: string, { signing, epoch }: AuthenticodeOptions): Promise<void> {
  const { certificate, key, pkcs11Module, passwordFile, timestampUrl } = signing
  const signed = `${path}.signed`
  await runTool('osslsigncode', [
    'sign',
    ...['-certs', certificate, '-key', key, '-h', 'sha256', '-n', 'Sallyport', '-time', String(epoch)],
    ...(pkcs11Module === undefined ? [] : ['-pkcs11module', pkcs11Module]),
    ...(passwordFile === undefined ? [] : ['-readpass', passwordFile]),
    ...(timestampUrl === undefined ? [] : ['-ts', timestampUrl]),
    ...['-in', path, '-out', signed],
  ])
  await rename(signed, path)
}
