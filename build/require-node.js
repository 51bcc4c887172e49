// Loaded by the npm scripts before any TypeScript (`node --import`): says what is missing where an older Node would
// only say that it does not know the file extension.
import { isNewEnough, OLDEST_NODE } from '../bin/node-version.js'

if (!isNewEnough(process.versions.node)) {
  process.stderr.write(
    `Sallyport needs Node ${OLDEST_NODE} or later; this is ${process.version}.\n` +
      '"npm ci" brings the right one for this project, unless optional packages are left out (--omit=optional).\n',
  )
  process.exit(1)
}
