import { Worker } from 'node:worker_threads';
import type { FuzzOrder, FuzzReport } from './fuzz-worker.ts';
import { MAX_MS } from './target.ts';

export type FuzzResult = {
  readonly runs: number;
  readonly outcomes: number;
  readonly finds: readonly { readonly input: Buffer; readonly reason: string }[];
  /** Inputs that came to an outcome no input of the corpus has. */
  readonly fresh: readonly Buffer[];
  /** Live memory of the thread, after a collection, early and at the end. */
  readonly heapMb: { readonly before: number; readonly after: number };
};

const INPUT_BYTES = 64 * 1024;
/** One parse of 64 kB that needs more than this is a find. */
const HEAP_MB = 256;
/** Live memory may grow by so much while very many inputs are parsed; in a short run, compiling the parser is most of what grows. */
const GROWTH_MB = 16;
const GROWTH_SECONDS = 10;
/** Finds of one run: the same fault again and again helps nobody. */
const MAX_FINDS = 5;

/** Fuzzes one target for some seconds. An input that hangs or runs out of memory ends the run, and is a find. */
export async function fuzz(how: Omit<FuzzOrder, 'shared'>): Promise<FuzzResult> {
  const shared = new SharedArrayBuffer(8 + INPUT_BYTES);
  const counters = new Int32Array(shared, 0, 2);
  const finds: { input: Buffer; reason: string }[] = [];
  const order: FuzzOrder = { ...how, shared };
  const worker = new Worker(new URL('fuzz-worker.ts', import.meta.url), {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  let end: Extract<FuzzReport, { kind: 'end' }> | null = null;
  let lastRuns = -1;
  let lastMoveMs = performance.now();
  const currentInput = (): Buffer => Buffer.from(new Uint8Array(shared, 8, counters[1]!));

  await new Promise<void>((resolve) => {
    const watch = setInterval(async () => {
      const runs = Atomics.load(counters, 0);
      if (runs !== lastRuns) lastMoveMs = performance.now();
      // Loading the sources of the target may take a while; after that nothing may.
      else if (runs > 0 && performance.now() - lastMoveMs > 5 * MAX_MS) {
        finds.push({ input: currentInput(), reason: `it did not end within ${5 * MAX_MS} ms` });
        await worker.terminate();
      }
      lastRuns = runs;
    }, 250);
    worker.on('message', (report: FuzzReport) => {
      if (report.kind === 'end') end = report;
      else finds.push({ input: Buffer.from(report.input), reason: report.reason });
      if (finds.length >= MAX_FINDS) void worker.terminate();
    });
    worker.on('error', (error) => finds.push({ input: currentInput(), reason: String(error) }));
    worker.on('exit', () => {
      clearInterval(watch);
      resolve();
    });
  });
  const ended = end as Extract<FuzzReport, { kind: 'end' }> | null;
  const mb = (bytes: number | undefined): number => Math.round((bytes ?? 0) / 1e6);
  const heapMb = { before: mb(ended?.heapBytes.before), after: mb(ended?.heapBytes.after) };
  if (how.seconds >= GROWTH_SECONDS && heapMb.after - heapMb.before > GROWTH_MB) {
    finds.push({ input: currentInput(), reason: `live memory grew from ${heapMb.before} to ${heapMb.after} MB` });
  }
  return {
    runs: counters[0]!,
    outcomes: ended?.outcomes ?? 0,
    finds,
    fresh: (ended?.fresh ?? []).map((input) => Buffer.from(input)),
    heapMb,
  };
}
