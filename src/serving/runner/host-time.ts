/**
 * Milliseconds of the machine's monotonic clock: the same number in every process of this machine, unlike `performance.now()`, whose
 * start is each process's own. A deadline crosses to a runner in it, so that time spent waiting in the socket counts.
 */
const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export function hostTimeMs(): number {
  return performance.now() + OFFSET_MS;
}
