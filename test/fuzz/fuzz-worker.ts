/** The loop of the fuzzer. It runs in a thread of its own, so that an input that never ends or takes all memory can be told by another. */
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { readCorpus } from './corpus.ts';
import { createRandom, mutate } from './mutate.ts';
import { MAX_MS } from './target.ts';
import { TARGETS } from './targets.ts';

export type FuzzOrder = {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  /** Two integers, runs so far and length of the input; then the input that is being run. */
  readonly shared: SharedArrayBuffer;
};

export type FuzzReport =
  | { readonly kind: 'find'; readonly input: Uint8Array; readonly reason: string }
  | {
      readonly kind: 'end';
      readonly outcomes: number;
      readonly fresh: readonly Uint8Array[];
      /** Live memory after a collection, when a tenth of the time was over and at the end. */
      readonly heapBytes: { readonly before: number; readonly after: number };
    };

const MAX_OUTCOME = 600;
/** Longer ones are tried but not gone on from: they cost too much of the time. */
const MAX_KEPT_BYTES = 4096;

const { target: name, seed, seconds, shared } = workerData as FuzzOrder;
const target = TARGETS.find((one) => one.name === name)!;
const counters = new Int32Array(shared, 0, 2);
const current = new Uint8Array(shared, 8);
const random = createRandom(seed);
const corpus = readCorpus(name);
const kept = corpus.length;
const outcomes = new Set<string>();
const tell = (report: FuzzReport): void => parentPort!.postMessage(report);

function tryInput(input: Buffer): boolean {
  current.set(input.subarray(0, current.length));
  counters[1] = Math.min(input.length, current.length);
  counters[0] = counters[0]! + 1;
  const startedUs = cpuUs();
  let outcome: string;
  try {
    // A copy: a piece of a string keeps the whole of it alive.
    outcome = Buffer.from(target.run(input).slice(0, MAX_OUTCOME)).toString();
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    tell({ kind: 'find', input: shrunk(input), reason });
    return false;
  }
  const tookMs = (cpuUs() - startedUs) / 1000;
  if (tookMs > MAX_MS) {
    tell({ kind: 'find', input, reason: `it took ${Math.round(tookMs)} ms` });
    return false;
  }
  if (outcomes.has(outcome)) return false;
  outcomes.add(outcome);
  return true;
}

/** As little of an input as still throws. */
function shrunk(input: Buffer): Buffer {
  let least = input;
  for (let size = input.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < least.length; ) {
      const less = Buffer.concat([least.subarray(0, at), least.subarray(at + size)]);
      try {
        target.run(less);
        at += size;
      } catch {
        least = less;
      }
    }
  }
  return least;
}

/** CPU time of this thread: a busy machine makes no input slow. */
function cpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
async function liveBytes(): Promise<number> {
  await pause(100); // until nothing is under way
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  // Inputs that were kept are no growth of the parser's.
  return heapUsed + external - corpus.reduce((sum, input) => sum + input.length, 0);
}

for (const input of corpus) tryInput(input);
if (corpus.length === 0) corpus.push(Buffer.alloc(0));
const startMs = performance.now();
const endMs = startMs + seconds * 1000;
let before: number | null = null;
while (performance.now() < endMs) {
  await new Promise(setImmediate); // what parsers put off until later
  if (before === null && performance.now() > startMs + seconds * 100) before = await liveBytes();
  for (let i = 0; i < 200; i++) {
    // The latest are likelier to lead on.
    const from = random(3) === 0 ? corpus.length - 1 - random(Math.min(16, corpus.length)) : random(corpus.length);
    const input = mutate(corpus[from]!, corpus[random(corpus.length)]!, target.dictionary, random);
    // In memory of its own: a view, or a piece of Node's pool, keeps all of it alive.
    if (tryInput(input) && input.length <= MAX_KEPT_BYTES) corpus.push(Buffer.from(new Uint8Array(input).buffer));
  }
}
const after = await liveBytes();
const heapBytes = { before: before ?? after, after };
tell({ kind: 'end', outcomes: outcomes.size, fresh: corpus.slice(kept), heapBytes });
