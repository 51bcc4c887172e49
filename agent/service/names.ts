/** What the service is called and where it lives. A package, the unit and the commands must agree on all of these. */
export const SYSTEMD = {
  unit: 'sallyport-agent.service',
  user: 'sallyport-agent',
  /** Where the agent of the service keeps what it knows; belongs to the user of the service, mode 0700. */
  data: '/var/lib/sallyport/agent',
  /** A join string that is laid here makes the service enrol when it starts. Root's own, mode 0600. */
  joinFile: '/etc/sallyport/agent/join',
  /** Units that the administrator's machine makes itself. */
  localUnits: '/etc/systemd/system',
  /** Units that come with a package; older systems have the second. */
  packagedUnits: ['/usr/lib/systemd/system', '/lib/systemd/system'],
} as const

/** The same on Windows. */
export const WINDOWS = {
  service: 'SallyportAgent',
  displayName: 'Sallyport agent',
  /** The system makes this account with the service and knows its password alone. */
  account: 'NT SERVICE\\SallyportAgent',
  /** Lies beside the program. */
  wrapper: 'sallyport-service.exe',
} as const
