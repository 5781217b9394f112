/** What one version costs, alone on this machine's other load: size, memory, time, and energy where the processor tells. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Measured } from '../../registry/conversion-report.ts';
import { processMemory } from '../runner/process-memory.ts';
import type { RunnerProcess } from '../runner/runner-process.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { askRunner } from './ask-runner.ts';

const WARM_CALLS = 5;
const MOST_CALLS = 300;
const BUDGET_MS = 1500;
export const BATCH_ROWS = 32;

/**
 * Medians over some hundred calls, or as many as fit into 1.5 s.
 * @param calls.single one row; `calls.batch` that many together, the same as `single` where rows cannot be sent together
 */
export async function measureVersion(
  runner: RunnerProcess,
  calls: { readonly single: Inputs; readonly batch: Inputs },
  about: { readonly engine: string; readonly sizeBytes: number; readonly runTimeoutMs: number },
): Promise<Measured> {
  const { engine, sizeBytes, runTimeoutMs } = about;
  const rowMs = await medianMs(runner, calls.single, runTimeoutMs);
  const before = { cpuMs: cpuMs(runner.pid), joules: joules() };
  const { median, count } = await timed(runner, calls.batch, runTimeoutMs);
  const after = { cpuMs: cpuMs(runner.pid), joules: joules() };
  const thousands = (count * calls.batch.rows) / 1000;
  return {
    engine,
    sizeBytes,
    memoryBytes: runner.pid === undefined ? null : (processMemory(runner.pid)?.residentBytes ?? null),
    rowMs,
    batchRows: calls.batch.rows,
    batchMs: median,
    cpuMsPerThousandRows: share(before.cpuMs, after.cpuMs, thousands),
    joulesPerThousandRows: share(before.joules, after.joules, thousands),
  };
}

type Inputs = { readonly inputs: readonly Tensor[]; readonly rows: number };

async function medianMs(runner: RunnerProcess, call: Inputs, runTimeoutMs: number): Promise<number> {
  for (let i = 0; i < WARM_CALLS; i++) await askRunner(runner, call.inputs, call.rows, runTimeoutMs);
  return (await timed(runner, call, runTimeoutMs)).median;
}

async function timed(runner: RunnerProcess, call: Inputs, runTimeoutMs: number) {
  const times: number[] = [];
  const startedMs = performance.now();
  while (times.length < MOST_CALLS && (times.length < 3 || performance.now() - startedMs < BUDGET_MS)) {
    const { runMs } = await askRunner(runner, call.inputs, call.rows, runTimeoutMs);
    times.push(runMs);
  }
  times.sort((a, b) => a - b);
  return { median: round(times[times.length >>> 1]!), count: times.length };
}

/** User and system time of a process so far, by /proc/<pid>/stat in ticks of 10 ms; null where there is none. */
function cpuMs(pid: number | undefined): number | null {
  if (pid === undefined || process.platform !== 'linux') return null;
  try {
    // The name stands in brackets and may have any character.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return null;
  }
}

const RAPL = '/sys/class/powercap';

/** Energy that the processor's packages have used since some time, by Intel's and AMD's counters (powercap); null where none can be read. */
function joules(): number | null {
  try {
    const packages = readdirSync(RAPL).filter((name) => /^intel-rapl:\d+$/.test(name));
    if (packages.length === 0) return null;
    return packages.reduce((sum, name) => sum + Number(readFileSync(join(RAPL, name, 'energy_uj'), 'latin1')) / 1e6, 0);
  } catch {
    return null;
  }
}

/** A counter that started again in between tells nothing. */
function share(from: number | null, to: number | null, thousands: number): number | null {
  if (from === null || to === null || to < from || thousands === 0) return null;
  return round((to - from) / thousands);
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
