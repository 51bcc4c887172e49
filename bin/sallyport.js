#!/usr/bin/env node
// Starts the command line on a Node that can run it. Plain JavaScript, because whatever `node` is on the PATH
// reads this file first: everything here must work from Node 20 on.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DATA_PLANE_FLAGS } from './data-plane.js'
import { isNewEnough, OLDEST_NODE } from './node-version.js'

const DATA_PLANE = /^(relay up|agent run|connect( .*)?)$/

const here = fileURLToPath(import.meta.url)
const args = process.argv.slice(2)

/** This process's own Node, or else the one that npm installed beside the package; undefined where both lack. */
function findNode() {
  if (isNewEnough(process.versions.node)) return process.execPath
  const os = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${os}-${process.arch}`
  try {
    const packageFile = module.createRequire(here).resolve(`${name}/package.json`)
    const binary = join(dirname(packageFile), 'bin', os === 'win' ? 'node.exe' : 'node')
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

function missingFlags() {
  const words = args.filter((arg) => !arg.startsWith('-')).slice(0, 2)
  const wanted = DATA_PLANE.test(words.join(' ')) ? DATA_PLANE_FLAGS : []
  return wanted.filter((flag) => !process.execArgv.includes(flag))
}

/** Puts `node` in this process's place, or stands in front of it where the system knows no exec. */
function restart(node, flags) {
  const argv = [...process.execArgv, ...flags, here, ...args]
  if (typeof process.execve === 'function' && process.platform !== 'win32') {
    process.execve(node, [node, ...argv], process.env)
  }
  const child = spawn(node, argv, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // A terminal sends Ctrl-C to the child as well; from it alone the child would take two for "at once".
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal)))
  }
  child.on('error', (error) => {
    process.stderr.write(`sallyport: cannot start ${node}: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

const node = findNode()
const flags = missingFlags()
if (node === undefined) {
  process.stderr.write(
    `sallyport: needs Node ${OLDEST_NODE} or later; this is ${process.version}, and no newer one came with the package.\n` +
      'Install one from https://nodejs.org, or run npm install again without --omit=optional.\n',
  )
  process.exitCode = 1
} else if (node !== process.execPath || flags.length > 0) {
  restart(node, flags)
} else {
  const built = new URL('../cli.js', import.meta.url)
  if (existsSync(built)) {
    await import(built.href)
  } else {
    // A checkout: a compile cache beside the packages saves stripping the types again at each start.
    module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url)))
    await import(new URL('../cli.ts', import.meta.url).href)
  }
}
