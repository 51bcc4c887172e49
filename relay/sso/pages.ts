const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text for HTML, within quotation marks too. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
}

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
