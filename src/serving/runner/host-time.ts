/**
 * What to add to `performance.now()`, whose start is each process's own, for milliseconds of the machine's monotonic clock: the same number
 * in every process of this machine.
 */
export const HOST_OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** A deadline crosses to another process in this time, so that time spent waiting in the socket counts. */
export function hostTimeMs(): number {
  return performance.now() + HOST_OFFSET_MS;
}
