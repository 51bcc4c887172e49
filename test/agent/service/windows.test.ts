import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { imagePath, installSteps, prepareWindowsService } from '../../../agent/service/windows.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'

const PROGRAM = ['C:\\Program Files\\Sallyport\\sallyport.exe']
const DATA = 'C:\\ProgramData\\Sallyport\\agent'

describe('the service of Windows', () => {
  it('is started by a command line in which every word is quoted', () => {
    assert.equal(
      imagePath(PROGRAM, `${DATA}\\`),
      '"C:\\Program Files\\Sallyport\\sallyport-service.exe" "C:\\Program Files\\Sallyport\\sallyport.exe" "agent" "run" ' +
        `"--stop-with-input" "--data" "${DATA}\\\\" "--log-file" "${DATA}\\agent.log"`,
    )
  })

  it('has a virtual account without a password, and a directory that users cannot enter', () => {
    const steps = installSteps({ program: PROGRAM, data: DATA, systemRoot: 'C:\\Windows' })
    const [create, icacls] = steps
    assert.deepEqual(create?.args.slice(0, 2), ['create', 'SallyportAgent'])
    assert.equal(create?.args[create.args.indexOf('obj=') + 1], 'NT SERVICE\\SallyportAgent')
    assert.equal(create?.args.includes('password='), false)
    assert.deepEqual(icacls?.args, [
      ...[DATA, '/inheritance:r', '/grant:r'],
      ...['*S-1-5-18', '*S-1-5-32-544', 'NT SERVICE\\SallyportAgent'].map((who) => `${who}:(OI)(CI)F`),
    ])
    // By their full paths, or a program of that name in the present directory would run as administrator.
    for (const { file } of steps) assert.match(file, /^C:\\Windows\\System32\\/)
  })

  it('is there when a call that only hardens it fails, and says so; a vital one ends it', async (t) => {
    const root = await temporaryDirectory(t)
    await mkdir(join(root, 'data'))
    const failing = (verb: string) => ({
      program: PROGRAM,
      data: join(root, 'data'),
      systemRoot: 'C:\\Windows',
      signal: AbortSignal.timeout(10_000),
      tool: async (_file: string, args: readonly string[]) => {
        if (args[0] === verb || args[0] === 'query') throw new TunnelError('SERVICE', `${verb} refused`)
        return ''
      },
    })
    await assert.rejects(prepareWindowsService(failing('privs')), { code: 'CONFIG' })
    assert.deepEqual(await prepareWindowsService(failing('privs'), () => true), ['not done: privs refused'])
    await assert.rejects(
      prepareWindowsService(failing('create'), () => true),
      { code: 'SERVICE' },
    )
  })
})
