import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { serviceUnit, sysusersFile, tmpfilesFile } from '../../../agent/service/unit.ts'

const PACKAGED = join(import.meta.dirname, '../../../packaging/systemd/sallyport-agent.service')

describe('the unit of the agent', () => {
  it('is the one in packaging/ (else: sallyport agent service install --print)', () => {
    assert.equal(readFileSync(PACKAGED, 'utf8'), serviceUnit())
  })

  it('quotes what systemd would read otherwise', () => {
    const unit = serviceUnit(['/opt/a b/node', '/opt/100%/$x/"q"\\'])
    const [line = ''] = unit.split('\n').filter((text) => text.startsWith('ExecStart='))
    assert.ok(line.startsWith('ExecStart="/opt/a b/node" "/opt/100%%/$$x/\\"q\\"\\\\" agent run'), line)
  })

  it('scores at most 1.5', { skip: !existsSync('/usr/bin/systemd-analyze') }, () => {
    const args = ['security', '--offline=true', '--threshold=15', PACKAGED]
    assert.match(execFileSync('systemd-analyze', args, { encoding: 'utf8' }), /Overall exposure level/)
  })

  it('comes with a user and directories of which none is open to others', () => {
    assert.match(sysusersFile(), /^u sallyport-agent - /)
    assert.match(tmpfilesFile(), /^d \/etc\/sallyport\/agent 0700 root root -$/m)
  })
})
