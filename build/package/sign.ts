import { readFile, rename, writeFile } from 'node:fs/promises'
import { formatManifest, parseManifest } from '../../shared/release/manifest.ts'
import { withSignature } from './manifest.ts'

/**
 * `node build/package/sign.ts MANIFEST KEY`: adds the signature of one holder to a release manifest, on the machine where
 * the key is. Prints first what is signed, because that is what the holder vouches for.
 */

const [path, key] = process.argv.slice(2)
if (path === undefined || key === undefined) {
  process.stderr.write('node build/package/sign.ts MANIFEST KEY\n')
  process.exitCode = 2
} else {
  const manifest = parseManifest(await readFile(path))
  const { version, channel, minimum, expires, files } = manifest.signed
  process.stdout.write(`${channel}/${version}, minimum ${minimum}, good until ${expires}\n`)
  for (const { name, size, sha256 } of files) process.stdout.write(`${sha256}  ${name}, ${size} bytes\n`)
  const signed = await withSignature(manifest, key)
  await writeFile(`${path}.new`, formatManifest(signed))
  await rename(`${path}.new`, path)
  process.stdout.write(`signed by ${signed.signatures.length} keys\n`)
}
