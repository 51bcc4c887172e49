import { escapeHtml } from '../../shared/http/escape-html.ts'

/**
 * The page after a sign-on. A redirect would still count as sent by the provider's site, and the session's cookie, which is
 * `SameSite=Strict`, would not go along; from this page the browser goes on by itself.
 * @param path of this relay
 */
export function goOnPage(path: string): string {
  const target = escapeHtml(path)
  return (
    '<!doctype html><html lang="en"><meta charset="utf-8">' +
    `<meta http-equiv="refresh" content="0;url=${target}"><title>Sallyport</title>` +
    `<p><a href="${target}">Go on</a></p></html>\n`
  )
}
