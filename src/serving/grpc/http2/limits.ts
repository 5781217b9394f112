/** What a connection may cost. */
export type ConnectionLimits = {
  /** Streams that a client may have open at one time. */
  readonly maxStreams: number;
  /** Bytes of one body that may be on their way. Bodies are read at once, so these bound the network, not the memory. */
  readonly streamWindow: number;
  readonly connectionWindow: number;
  /** Answers that wait for a client to open its windows; beyond, it gets no new ones. */
  readonly maxWaitingBytes: number;
  /** Resets and frames that do nothing: so many at once, and so many a second. */
  readonly nuisances: number;
  readonly nuisancesPerS: number;
};
