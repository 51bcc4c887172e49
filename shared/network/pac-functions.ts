/**
 * What a PAC file may call (the functions of Netscape's first description, which every browser has), as a script for the
 * place where PAC files run. `$resolve` and `$address` are all that comes from outside.
 */
export const PAC_FUNCTIONS = String.raw`
'use strict';
(function (global, $resolve, $address) {
  const number = (ip) => {
    const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(ip);
    if (parts === null || parts.slice(1).some((part) => part > 255)) return undefined;
    return parts.slice(1).reduce((sum, part) => sum * 256 + Number(part), 0);
  };
  const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
  const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
  // The last argument GMT says which clock is meant.
  const clock = (args) => {
    const isGmt = args[args.length - 1] === 'GMT';
    const now = new Date();
    const get = (name) => now[(isGmt ? 'getUTC' : 'get') + name]();
    return { get, args: isGmt ? args.slice(0, -1) : args };
  };
  // A span may reach over the end of the week, the year or the day.
  const within = (from, now, to) => (from <= to ? from <= now && now <= to : now >= from || now <= to);
  const names = {
    isPlainHostName: (host) => !host.includes('.') && !host.includes(':'),
    dnsDomainIs: (host, domain) => host.toLowerCase().endsWith(domain.toLowerCase()),
    localHostOrDomainIs: (host, name) => host === name || (!host.includes('.') && name.startsWith(host + '.')),
    isResolvable: (host) => $resolve(String(host)) !== null,
    dnsResolve: (host) => $resolve(String(host)),
    myIpAddress: () => $address,
    dnsDomainLevels: (host) => host.split('.').length - 1,
    convert_addr: (ip) => number(ip) ?? 0,
    isInNet: (host, pattern, mask) => {
      const literal = number(host);
      const resolved = literal === undefined ? $resolve(String(host)) : host;
      const [ip, net, bits] = [resolved === null ? undefined : number(resolved), number(pattern), number(mask)];
      if (ip === undefined || net === undefined || bits === undefined) return false;
      return ((ip & bits) >>> 0) === ((net & bits) >>> 0);
    },
    shExpMatch: (text, glob) => {
      // Browsers let parentheses and bars through as they are, and PAC files rely on it.
      const source = glob.replace(/\./g, '\\.').replace(/\*+/g, '.*').replace(/\?/g, '.');
      return new RegExp('^' + source + '$').test(text);
    },
    weekdayRange: (...all) => {
      const { get, args } = clock(all);
      const [from, to = from] = args.map((day) => DAYS.indexOf(day));
      return within(from, get('Day'), to);
    },
    dateRange: (...all) => {
      const { get, args } = clock(all);
      const fields = args.map((arg) => {
        const month = MONTHS.indexOf(arg);
        if (month >= 0) return { at: 1, value: month };
        return Number(arg) > 31 ? { at: 0, value: Number(arg) } : { at: 2, value: Number(arg) };
      });
      const half = fields.length % 2 === 1 ? fields.length : fields.length / 2;
      const pick = (part) => part.slice().sort((a, b) => a.at - b.at).reduce((sum, { value }) => sum * 400 + value, 0);
      const now = [get('FullYear'), get('Month'), get('Date')];
      const from = fields.slice(0, half);
      const to = half === fields.length ? from : fields.slice(half);
      return within(pick(from), pick(from.map(({ at }) => ({ at, value: now[at] }))), pick(to));
    },
    timeRange: (...all) => {
      const { get, args } = clock(all);
      const n = args.map(Number);
      const seconds = (h, m = 0, s = 0) => h * 3600 + m * 60 + s;
      const now = seconds(get('Hours'), get('Minutes'), get('Seconds'));
      if (n.length === 1) return get('Hours') === n[0];
      const half = n.length / 2;
      const [from, to] = [seconds(...n.slice(0, half)), seconds(...n.slice(half))];
      return from <= to ? from <= now && now < to : now >= from || now < to;
    },
    alert: () => undefined,
  };
  Object.assign(global, names);
})`
