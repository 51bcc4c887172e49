import { foreign, type Hello } from './hello.ts'

/**
 * The server greets with 220, and nothing is said before its greeting is whole (RFC 5321 section 4.3.1). QUIT ends it, or the
 * server would log a guest who was lost.
 */
export const smtpHello: Hello = {
  read: (answer) => {
    const text = answer.toString('latin1')
    const last = /^(?:\d{3}-.*\r?\n)*\d{3}(?: .*)?\r?\n/.exec(text)?.[0]
    if (last === undefined) return /^\d{0,3}$|^\d{3}[- \r\n]/.test(text) ? undefined : foreign('SMTP', answer)
    const said = text.split(/\r?\n/, 1)[0] ?? ''
    if (text.startsWith('220')) return { state: 'ok', note: 'SMTP', said }
    return { state: 'failing', note: `SMTP refuses with ${text.slice(0, 3)}`, said }
  },
  bye: Buffer.from('QUIT\r\n'),
}
