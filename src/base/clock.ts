/** Time is passed in, so that tests can set it. Deadlines and limits use `monotonicMs`, which never jumps. */
export type Clock = {
  /** Wall-clock time. */
  now(): Date;
  /** Milliseconds since an arbitrary start; unaffected by changes of the system's clock. */
  monotonicMs(): number;
};

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
};
