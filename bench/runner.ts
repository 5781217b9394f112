/**
 * What a runner costs, without HTTP: from start to ready, memory, calls a second through the frames, latency, and how fast it is back after kill -9.
 *
 *     node bench/runner.ts [--model path.onnx] [--seconds 3] [--callers 1,16,64] [--rows 1]
 *     taskset -c 0 node bench/runner.ts      # both processes on one core, as in the comparison with peers
 *
 * The model must have FP32 inputs only; rows are random and differ from call to call. Numbers are of one machine and one run: compare
 * ratios.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { systemClock } from '../src/base/clock.ts';
import { readOnnxModel } from '../src/registry/imports/onnx-reader.ts';
import { signatureOfModel } from '../src/registry/imports/onnx-signature.ts';
import { bytesSource } from '../src/registry/imports/protobuf-cursor.ts';
import type { RunnerSpec } from '../src/serving/runner/runner.ts';
import { type RunnerProcess, startRunner } from '../src/serving/runner/runner-process.ts';
import { superviseRunner } from '../src/serving/runner/runner-supervisor.ts';
import type { Tensor } from '../src/serving/tensors/tensor.ts';

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: fileURLToPath(new URL('../test/fixtures/models/add.onnx', import.meta.url)) },
    seconds: { type: 'string', default: '3' },
    callers: { type: 'string', default: '1,16,64' },
    rows: { type: 'string', default: '1' },
  },
});
const DISTINCT_CALLS = 2048;
const log = pino({ level: 'silent' });
const scratchDir = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
const rows = Number(flags.rows);
const bytes = readFileSync(flags.model);
const { signature } = signatureOfModel(await readOnnxModel(bytesSource(bytes)), basename(flags.model));
const spec: RunnerSpec = {
  name: 'bench',
  engine: 'onnxruntime',
  entry: 'model.onnx',
  files: [
    {
      path: 'model.onnx',
      blobPath: flags.model,
      sizeBytes: bytes.length,
      digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    },
  ],
  signature,
  canBatch: true,
  canPad: false,
  scratchDir,
  limits: {
    memoryBytes: 4 * 1024 ** 3,
    loadTimeoutMs: 60_000,
    runTimeoutMs: 60_000,
    threads: 1,
    maxBatchRows: 256,
    maxDelayMs: 0,
    queueLimit: 100_000,
  },
};

const calls: Tensor[][] = Array.from({ length: DISTINCT_CALLS }, () =>
  signature.inputs.map(({ name, datatype, shape }) => {
    if (datatype !== 'FP32') throw new Error(`${name} is ${datatype}; this bench makes FP32 inputs only`);
    const real = shape.map((size, axis) => (size === -1 ? (axis === 0 ? rows : 1) : size));
    const count = real.reduce((a, b) => a * b, 1);
    return { name, datatype, shape: real, data: Float32Array.from({ length: count }, () => Math.random() * 8 - 4) };
  }),
);

type Measured = { callsPerS: number; p50Ms: number; p99Ms: number; meanBatchRows: number };

/** `callers` callers, each with one call under way at any time, for some seconds. */
function load(runner: RunnerProcess, callers: number, seconds: number): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const times: number[] = [];
    let batchRows = 0;
    let open = 0;
    let next = 0;
    const endMs = performance.now() + seconds * 1000;
    const startMs = performance.now();
    const one = (): void => {
      const fromMs = performance.now();
      open++;
      runner.infer(calls[next++ % DISTINCT_CALLS]!, rows, { timeoutMs: 60_000 }, (error, _, timings) => {
        open--;
        if (error !== null) {
          reject(error);
          return;
        }
        const nowMs = performance.now();
        times.push(nowMs - fromMs);
        batchRows += timings.batchRows;
        if (nowMs < endMs) one();
        else if (open === 0) {
          times.sort((a, b) => a - b);
          const at = (share: number): number => times[Math.floor((times.length - 1) * share)]!;
          resolve({
            callsPerS: (times.length / (nowMs - startMs)) * 1000,
            p50Ms: at(0.5),
            p99Ms: at(0.99),
            meanBatchRows: batchRows / times.length,
          });
        }
      });
    };
    for (let i = 0; i < callers; i++) one();
  });
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >>> 1]!;

async function timeToReady(): Promise<{ loadedMs: number; answeredMs: number }> {
  const startMs = performance.now();
  const runner = startRunner(spec, { log });
  const { loadMs } = await runner.loaded;
  await new Promise((resolve) => runner.infer(calls[0]!, rows, { timeoutMs: 60_000 }, resolve));
  const answeredMs = performance.now() - startMs;
  runner.kill();
  await runner.exited;
  return { loadedMs: loadMs, answeredMs };
}

function proportionalMib(pid: number): string {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const mib = (field: string): string =>
      (Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(rollup)![1]) / 1024).toFixed(0);
    return `PSS ${mib('Pss')} MiB, RSS ${mib('Rss')} MiB`;
  } catch {
    return 'not told by this system';
  }
}

async function backAfterKill(): Promise<number> {
  const supervisor = superviseRunner({ ...spec, warmUp: { inputs: calls[0]!, rows } }, { log, clock: systemClock });
  const ready = async (): Promise<void> => {
    while (supervisor.status().state !== 'ready') await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await ready();
  const fromMs = performance.now();
  process.kill(supervisor.pid!, 'SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 1));
  while (supervisor.status().restarts === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await ready();
  const backMs = performance.now() - fromMs;
  await supervisor.close();
  return backMs;
}

try {
  console.log(
    `${basename(flags.model)}, ${rows} row(s) a call, node ${process.version}, ${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`,
  );
  const starts = [];
  for (let i = 0; i < 5; i++) starts.push(await timeToReady());
  console.log(
    `start to loaded ${median(starts.map((start) => start.loadedMs)).toFixed(0)} ms, to the first answer ${median(starts.map((start) => start.answeredMs)).toFixed(0)} ms (median of 5)`,
  );
  console.log(`ready again after kill -9: ${(await backAfterKill()).toFixed(0)} ms`);
  const runner = startRunner(spec, { log });
  await runner.loaded;
  await load(runner, 1, 0.1);
  console.log(`memory when idle: ${proportionalMib(runner.pid!)}`);
  await load(runner, 64, 1.5); // warm-up
  for (const callers of flags.callers.split(',').map(Number)) {
    const { callsPerS, p50Ms, p99Ms, meanBatchRows } = await load(runner, callers, Number(flags.seconds));
    console.log(
      `${String(callers).padStart(4)} callers: ${Math.round(callsPerS).toLocaleString('en')} calls/s, p50 ${p50Ms.toFixed(3)} ms, p99 ${p99Ms.toFixed(3)} ms, ${meanBatchRows.toFixed(1)} rows a run`,
    );
  }
  console.log(`memory after the load: ${proportionalMib(runner.pid!)}`);
  await runner.close();
} finally {
  rmSync(scratchDir, { recursive: true, force: true });
}
