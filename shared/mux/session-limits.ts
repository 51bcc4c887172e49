/** Limits of one session (docs/protocol.md section 10). Counts, bytes and milliseconds. */
export const SESSION_LIMITS = {
  streams: 4_096,
  unansweredOpens: 256,
  openTimeoutMs: 15_000,
  /** Ids end here; long before, the session asks to be replaced. */
  lastId: 0x7fff_ffff,
  rollAtId: 0x7fff_ffff - 0x10_0000,
  opensPerSecond: 20_000,
  resetsPerSecond: 5_000,
  resetBurst: 10_000,
  noticesPerSecond: 5,
  noticeBurst: 100,
  /** A relay may open and reset so many times more, because it speaks for many connectors. */
  relayShare: 8,
  /** With more control bytes waiting for a peer that reads slowly, nothing more is opened there. */
  controlBytesAtOpen: 262_144,
} as const
