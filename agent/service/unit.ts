import { SYSTEMD } from './names.ts'

/** How packages start the agent. */
const PACKAGED_PROGRAM: readonly string[] = ['/usr/bin/sallyport']

/**
 * The systemd unit of the agent. `packaging/systemd/sallyport-agent.service` is this text for {@link PACKAGED_PROGRAM};
 * docs/service.md says why each line is there.
 *
 * @param program the words that start `sallyport`, the first an absolute path
 */
export function serviceUnit(program: readonly string[] = PACKAGED_PROGRAM): string {
  const { data, joinFile, user } = SYSTEMD
  const run = [...program, 'agent', 'run', '--data', data].map(quoteWord).join(' ')
  return `# Made by "sallyport agent service install --print"; change it with "systemctl edit ${SYSTEMD.unit}".
[Unit]
Description=Sallyport agent
After=network-online.target nss-lookup.target
ConditionPathExists=|${data}/identity.json
ConditionPathExists=|${joinFile}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=all
WatchdogSec=3min
TimeoutStartSec=2min
TimeoutStopSec=20s
Restart=on-failure
RestartSec=5s
RestartSteps=6
RestartMaxDelaySec=5min

User=${user}
Group=${user}
StateDirectory=sallyport/agent
StateDirectoryMode=0700
UMask=0077
LimitCORE=0
Environment=MALLOC_ARENA_MAX=1
LoadCredential=join:${joinFile}
SetCredential=join:none
ExecStart=${run} --join-file \${CREDENTIALS_DIRECTORY}/join
ExecStartPost=+/bin/rm -f ${joinFile}

${HARDENING}

[Install]
WantedBy=multi-user.target
`
}

/**
 * One arena for all threads, in the unit: each of Node's ten would keep its own reserve, which makes 2 MiB in an agent at rest.
 *
 * Not here, because the agent would not run: MemoryDenyWriteExecute (the compiler of V8 writes what it executes), ProcSubset
 * (Node reads the number of processors and the memory from /proc) and AF_NETLINK's absence (the addresses of this host).
 */
const HARDENING = `NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @mount @obsolete @keyring`

/** The user of the service, as systemd-sysusers takes it. */
export function sysusersFile(): string {
  const { user, data } = SYSTEMD
  return `u ${user} - "Sallyport agent" ${data}\n`
}

/** The directories above those of the service, as systemd-tmpfiles takes them. */
export function tmpfilesFile(): string {
  return `d /etc/sallyport 0755 root root -
d /etc/sallyport/agent 0700 root root -
d /var/lib/sallyport 0755 root root -
`
}

/** One word of an Exec line, so that systemd reads back just this word (systemd.service(5), "Command lines"). */
function quoteWord(word: string): string {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  if (/^[A-Za-z0-9_./%$:=@,+-]+$/.test(escaped)) return escaped
  return `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
