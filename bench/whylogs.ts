/**
 * Profiles beside those of whylogs, of the same rows, each in one process on the same core: rows a second, bytes of what is kept, and how far the
 * quantiles are off. `PYTHON=<venv>/bin/python bin/node-24 bench/whylogs.ts`, with `pip install -r bench/whylogs-requirements.txt` in it. Needs
 * taskset.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { PaneLine } from '../src/monitoring/predictions/pane-writer.ts';
import { createRowRecorder } from '../src/monitoring/predictions/row-recorder.ts';
import { ddQuantile } from '../src/monitoring/profiles/dd-sketch.ts';
import { decodeProfile } from '../src/monitoring/profiles/profile-codec.ts';
import { batchOf, normalNumbers, streamOf } from '../test/fixtures/log-folder.ts';
import { describeMachine } from './machine.ts';
import { spreadOf } from './statistics.ts';

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    /** Set for the child that measures us: its core is not to be that of others. */
    ours: { type: 'string' },
  },
});
const ROWS = Number(flags.rows);
const FEATURES = 30;
const BATCH = 512;
const QUANTILES = [0.01, 0.5, 0.99];

type Measured = {
  /** Rows a second, by how they are handed over. */
  readonly rowsPerSecond: Readonly<Record<string, number>>;
  readonly bytes: number;
  /** Of the first column. */
  readonly quantiles: readonly number[];
};

if (flags.ours !== undefined) console.log(JSON.stringify(measureOurs()));
else compare();

/** The numbers of all rows but the output's, as both sides see them. */
function inputsOf(): Float64Array {
  const stream = streamOf(FEATURES);
  const values = normalNumbers(64 * 1024);
  const inputs = new Float64Array(ROWS * FEATURES);
  for (let at = 0; at < ROWS; at += BATCH) {
    const count = Math.min(BATCH, ROWS - at);
    const { numbers } = batchOf(stream, values, at, count, () => 0, false);
    for (let row = 0; row < count; row++) {
      const from = row * (FEATURES + 1);
      inputs.set(numbers.subarray(from, from + FEATURES), (at + row) * FEATURES);
    }
  }
  return inputs;
}

function measureOurs(): Measured {
  // An output more than whylogs has: the recorder knows no stream without one.
  const stream = streamOf(FEATURES);
  const values = normalNumbers(64 * 1024);
  const batches = Array.from({ length: Math.ceil(ROWS / BATCH) }, (_, at) =>
    batchOf(stream, values, at * BATCH, Math.min(BATCH, ROWS - at * BATCH), () => 1000, false),
  );
  const run = (): { ms: number; pane: PaneLine } => {
    const panes: PaneLine[] = [];
    const deps = { append: () => undefined, edgesOf: () => new Map(), nowMs: () => 1000, random: Math.random };
    const recorder = createRowRecorder({ ...deps, take: (lines) => void panes.push(...lines) }, 'bench');
    recorder.open(stream);
    const from = performance.now();
    for (const batch of batches) recorder.add(batch);
    recorder.close();
    return { ms: performance.now() - from, pane: panes[0]! };
  };
  run();
  const { ms, pane } = run();
  const columns = Object.entries(pane.columns).filter(([name]) => name.startsWith('input.'));
  const bytes = columns.reduce((sum, [, text]) => sum + Buffer.from(text, 'base64').length, 0);
  const { sketch } = decodeProfile(Buffer.from(pane.columns['input.f0']!, 'base64'));
  return {
    rowsPerSecond: { batches: ROWS / (ms / 1000) },
    bytes,
    quantiles: QUANTILES.map((q) => ddQuantile(sketch, q)!),
  };
}

function compare(): void {
  const machine = describeMachine();
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-whylogs-'));
  try {
    const inputs = inputsOf();
    const file = join(folder, 'rows.f64');
    writeFileSync(file, Buffer.from(inputs.buffer));
    const script = fileURLToPath(new URL('whylogs_profiles.py', import.meta.url));
    const rounds = Array.from({ length: Number(flags.rounds) }, () => ({
      ours: child([process.execPath, import.meta.filename, '--rows', flags.rows, '--ours', 'yes']),
      theirs: child([process.env['PYTHON'] ?? 'python3', script, file, String(FEATURES), String(BATCH)]),
    }));
    console.log(`${machine.processor}, Node ${machine.node}; load before: ${machine.loadBefore}; ${ROWS} rows of 30`);
    for (const way of Object.keys(rounds[0]!.theirs.rowsPerSecond)) {
      const ratios = rounds.map(({ ours, theirs }) => ours.rowsPerSecond['batches']! / theirs.rowsPerSecond[way]!);
      const { median, min, max } = spreadOf(ratios);
      const rate = spreadOf(rounds.map(({ theirs }) => theirs.rowsPerSecond[way]!)).median;
      console.log(`speed beside whylogs, ${way}: ${median} (${min}-${max}); whylogs ${Math.round(rate)} rows/s`);
    }
    const rate = spreadOf(rounds.map(({ ours }) => ours.rowsPerSecond['batches']!)).median;
    const { ours, theirs } = rounds[0]!;
    console.log(`ours: ${Math.round(rate)} rows/s`);
    console.log(
      `size of a feature: ours ${Math.round(ours.bytes / FEATURES)}, whylogs ${Math.round(theirs.bytes / FEATURES)} bytes; ratio ${(ours.bytes / theirs.bytes).toFixed(2)}`,
    );
    const exact = Float64Array.from({ length: ROWS }, (_, row) => inputs[row * FEATURES]!).sort();
    for (const [at, q] of QUANTILES.entries()) {
      const right = exact[Math.floor(q * (ROWS - 1))]!;
      const off = (value: number): string => `${((100 * Math.abs(value - right)) / Math.abs(right)).toFixed(2)} %`;
      console.log(
        `p${q * 100} (${right.toFixed(4)}): ours off by ${off(ours.quantiles[at]!)}, whylogs by ${off(theirs.quantiles[at]!)}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function child(command: readonly string[]): Measured {
  const run = spawnSync('taskset', ['-c', '0', ...command], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const line = run.stdout.trim().split('\n').at(-1) ?? '';
  if (run.status !== 0 || !line.startsWith('{')) throw new Error(`${command[0]}: ${run.stderr.slice(-2000)}`);
  return JSON.parse(line) as Measured;
}
