/** Every limit of the listener, in milliseconds and bytes: Node's own are far wider or absent. Tests pass shorter ones. */
export const HTTP_LIMITS = {
  /** From the connection, or the last answer, until the header is whole. */
  headersMs: 10_000,
  /** Without a byte in either direction while a body is sent or an answer is read. */
  idleMs: 30_000,
  /** From the first byte of the header to the last byte of the body: bounds those who send one byte now and then. */
  requestMs: 120_000,
  /** Longer than the 60 s after which load balancers drop an idle connection, so that they are the ones to do it. */
  keepAliveMs: 75_000,
  headerBytes: 16 * 1024,
  /** How often these are checked. */
  checkMs: 1_000,
  /** Bodies being received, and bodies that wait to be parsed, at one time, as a multiple of the largest body. */
  bodiesAtOnce: 8,
  /** Answers, of all connections together, that are being written or were not read by their clients yet. */
  unreadBytes: 512 * 1024 * 1024,
};
