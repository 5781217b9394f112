/** What goes wrong with the files of the log: cut lines, damaged Parquet, kills, wrong clocks, a full disk, very wide versions. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { batchOf, policy, type Recording, rowsOf, startRecording } from '../../../test/fixtures/recording.ts';
import { systemClock } from '../../base/clock.ts';
import { columnsOfSignature, MAX_COLUMNS } from '../../registry/signature-columns.ts';
import { PARQUET_FOLDER } from './log-compactor.ts';
import { TO_PROFILE } from './recorded-rows.ts';

let r: Recording;
/** Added to the clock that does not jump. */
let laterMs = 0;
beforeEach(async () => {
  laterMs = 0;
  r = await startRecording({ now: systemClock.now, monotonicMs: () => systemClock.monotonicMs() + laterMs });
});
afterEach(() => r.stop());

const HOUR_MS = 3_600_000;
/** Ten rows an hour in a Parquet file for each hour. */
async function recordHours(hours: number): Promise<{ path: string; id: string }[]> {
  const { recorder, end } = r.gateway();
  for (let hour = 0; hour < hours; hour++) {
    recorder.add(batchOf(rowsOf(10, { atMs: Date.now() - hour * HOUR_MS })));
  }
  end();
  await r.monitoring.ingest();
  const files = await r.database.db.selectFrom('prediction_files').selectAll().orderBy('to_ms').execute();
  return files.map(({ path, id }) => ({ path: join(r.folder, path), id }));
}

describe('what goes wrong', () => {
  test('a segment that is cut in a line, or damaged in the middle, loses that line only, and it is counted', async () => {
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    const path = r.segments()[0]!;
    const lines = readFileSync(path, 'utf8').split('\n');
    lines[3] = `${lines[3]!.slice(0, 40)}\u0000\u0001`;
    writeFileSync(path, lines.join('\n').slice(0, -60));
    expect(await r.list()).toHaveLength(8);
    await r.monitoring.ingest();
    expect(await r.list()).toHaveLength(8);
    const [file] = await r.database.db.selectFrom('prediction_files').selectAll().execute();
    expect(Number(file!.bad_lines)).toBe(2);
  });

  test('two gateways with the same name of a segment write two files', async () => {
    const [one, two] = [r.gateway('same'), r.gateway('same')];
    one.recorder.add(batchOf(rowsOf(3)));
    one.writer.tick();
    two.recorder.add(batchOf(rowsOf(4)));
    two.writer.tick();
    expect(r.segments()).toHaveLength(2);
    expect(await r.list()).toHaveLength(7);
    one.writer.close();
    two.writer.close();
  });

  test('a crash between index and removal brings nothing back twice', async () => {
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    const path = r.segments()[0]!;
    const bytes = readFileSync(path);
    await r.monitoring.ingest();
    writeFileSync(path, bytes); // the removal did not happen
    expect(await r.list()).toHaveLength(10);
    await r.monitoring.ingest();
    expect(r.segments()).toEqual([]);
    expect(await r.list()).toHaveLength(10);
  });

  test('a Parquet file without an index entry, as a crash leaves it, goes at the next start', async () => {
    const stray = join(r.folder, 'predictions/parquet/p/churn/2026-01-01/00');
    mkdirSync(stray, { recursive: true });
    writeFileSync(join(stray, 'stray.parquet'), 'PAR1');
    expect(await r.monitoring.compactor.sweep()).toBe(1);
    expect(readdirSync(stray)).toEqual([]);
  });

  test('lines of a policy that is no more keep their columns', async () => {
    const { recorder, writer, end } = r.gateway();
    recorder.add(batchOf(rowsOf(5)));
    recorder.configure({
      ...r.file(),
      revision: r.file().revision + 1,
      policies: { 'default/churn': { ...policy, fields: { ...policy.fields, 'input.amount': { action: 'drop' } } } },
    });
    recorder.add(batchOf(rowsOf(5)));
    writer.tick();
    expect(await r.list('input.amount is not null')).toHaveLength(5);
    end();
    await r.monitoring.ingest();
    expect(await r.list('input.amount is null')).toHaveLength(5);
  });
});

describe('a Parquet file that is damaged', () => {
  const range = {};
  const leftOut = () => r.monitoring.predictions.leftOut(r.call, 'churn', range);

  test.each([
    ['its head', (bytes: Buffer) => bytes.fill(0, 0, 400)],
    ['its foot', (bytes: Buffer) => bytes.fill(7, bytes.length - 400)],
    ['its values', (bytes: Buffer) => bytes.fill(255, 100, 1500)],
    ['its second half', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
    ['all of it', () => Buffer.alloc(0)],
  ])('in %s is left out, and queries go on and say so; put back, it counts again', async (_, damage) => {
    const files = await recordHours(3);
    const { path } = files[1]!;
    const before = readFileSync(path);
    writeFileSync(path, damage(Buffer.from(before)));
    expect(await r.list()).toHaveLength(20);
    expect(await leftOut()).toEqual({ files: 1, rows: 10 });
    expect(await r.monitoring.predictions.count(r.call, 'churn', range)).toBe(20);
    const file = await r.monitoring.predictions.export(r.call, 'churn', range, 'ndjson', true);
    expect(file!.rows).toBe(20);
    file!.stream.destroy();
    expect(r.said().split('is damaged or gone').length - 1).toBe(1);
    writeFileSync(path, before);
    expect(await r.list()).toHaveLength(30);
    expect(await leftOut()).toBeNull();
    expect(r.said()).toContain('is whole again');
  });

  test('or gone stops neither other hours nor what comes, and erasure says that it cannot be proven', async () => {
    const files = await recordHours(2);
    const { path } = files[0]!;
    const elsewhere = join(r.folder, 'elsewhere');
    copyFileSync(path, elsewhere);
    rmSync(path);
    const { recorder, end } = r.gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    await r.monitoring.ingest();
    expect(await r.list()).toHaveLength(20);
    expect(await leftOut()).toEqual({ files: 1, rows: 10 });
    await expect(r.monitoring.erasures.erase(r.call, 'c3', null)).rejects.toMatchObject({ code: 'data_corrupt' });
    expect(await r.monitoring.compactor.sweep()).toBe(0);
    copyFileSync(elsewhere, path);
    expect(await r.monitoring.erasures.erase(r.call, 'c3', null)).toMatchObject({ rows: 3, left: 0 });
  });

  test('is not merged with others of its hour, and does not keep them from being merged', async () => {
    for (let at = 0; at < 9; at++) await recordHours(1);
    expect(await r.database.db.selectFrom('prediction_files').selectAll().execute()).toHaveLength(1);
    for (let at = 0; at < 7; at++) await recordHours(1);
    const [, second] = await r.database.db.selectFrom('prediction_files').selectAll().orderBy('id').execute();
    writeFileSync(join(r.folder, second!.path), 'PAR1');
    await recordHours(1);
    await recordHours(1);
    expect(await r.list()).toHaveLength(170);
    const left = await r.database.db.selectFrom('prediction_files').selectAll().execute();
    expect(left.map((file) => Number(file.rows)).sort()).toEqual([10, 170]);
    expect(readFileSync(join(r.folder, second!.path), 'utf8')).toBe('PAR1');
  });

  test('fails a prediction that is asked for by its id with a hint', async () => {
    const [file] = await recordHours(1);
    const { id } = (await r.list())[0]!;
    writeFileSync(file!.path, 'PAR1');
    await expect(r.monitoring.predictions.show(r.call, 'churn', id)).rejects.toMatchObject({
      code: 'prediction_not_found',
      message: expect.stringContaining('10 rows of its time are in files that are damaged'),
    });
  });
});

describe('a segment that is left open', () => {
  test('is taken when nothing was appended for a quarter of an hour, by a clock that does not jump', async () => {
    const { recorder, writer } = r.gateway();
    recorder.add(batchOf(rowsOf(10)));
    writer.tick();
    await r.monitoring.ingest();
    expect(r.segments()).toEqual([expect.stringMatching(/\.open$/)]);
    // The wall clock says that it is a day old; its gateway appends all the same.
    const [path] = r.segments() as [string];
    const yesterday = Date.now() / 1000 - 86_400;
    utimesSync(path, yesterday, yesterday);
    await r.monitoring.ingest();
    recorder.add(batchOf(rowsOf(10)));
    writer.tick();
    laterMs = 14 * 60_000;
    await r.monitoring.ingest();
    laterMs = 28 * 60_000;
    await r.monitoring.ingest();
    expect(r.segments()).toHaveLength(1);
    expect(await r.list()).toHaveLength(20);
    laterMs = 30 * 60_000;
    await r.monitoring.ingest();
    expect(r.segments()).toEqual([]);
    expect(await r.list()).toHaveLength(20);
    writer.close();
  });
});

test('killed at any moment, control loses no row and has none twice, and ends what it had begun', async () => {
  const victim = join(import.meta.dirname, '../../../test/fixtures/compactor-victim.ts');
  const folder = mkdtempSync(join(tmpdir(), 'slipway-compactor-'));
  try {
    const kills = Number(process.env['SLIPWAY_KILLS'] ?? 12);
    let killed = 0;
    for (let round = 0; round < kills; round++) {
      // A run takes some 200 ms: at its beginning, in the middle of it, and after it.
      const child = spawn(process.execPath, [victim, folder, 'add'], { stdio: ['ignore', 'pipe', 'inherit'] });
      child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), (round * 300) / kills));
      const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
      expect(code === 0 || signal === 'SIGKILL').toBe(true);
      killed += signal === 'SIGKILL' ? 1 : 0;
    }
    expect(killed).toBeGreaterThan(kills / 2);
    const end = spawnSync(process.execPath, [victim, folder, 'end'], { encoding: 'utf8', timeout: 60_000 });
    expect(JSON.parse(end.stdout.trim() || JSON.stringify(end.stderr))).toEqual({
      rows: kills * 400,
      different: kills * 400,
      segments: 0,
      strays: 0,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

const small = mkdtempSync(join(tmpdir(), 'slipway-small-'));
const canMount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]).status === 0;
if (canMount) spawnSync('umount', ['-l', small]);
rmSync(small, { recursive: true });

test.skipIf(!canMount)(
  'a disk that is full when Parquet is made keeps the lines, and it is made when there is room',
  async () => {
    const folder = join(r.folder, PARQUET_FOLDER);
    mkdirSync(folder, { recursive: true });
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', folder]);
    try {
      const { recorder, end } = r.gateway();
      recorder.add(batchOf(rowsOf(400)));
      end();
      await r.monitoring.ingest();
      expect(r.said()).toContain('it is tried again');
      expect(r.segments()).toHaveLength(1);
      expect(await r.list('input.amount < 100')).toHaveLength(100);
      spawnSync('mount', ['-o', 'remount,size=64m', folder]);
      await r.monitoring.ingest();
      expect(r.segments()).toEqual([]);
      expect(await r.list('input.amount < 100')).toHaveLength(100);
      expect(readdirSync(folder, { recursive: true }).filter((name) => String(name).endsWith('.new'))).toEqual([]);
    } finally {
      spawnSync('umount', ['-l', folder]);
    }
  },
);

describe('10,000 features', () => {
  test('of one tensor are one vector; of as many tensors the first are columns, and the rest is counted', async () => {
    const names = Array.from({ length: 10_000 }, (_, at) => `f${at}`);
    const one = columnsOfSignature({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 10_000], features: names }],
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
    });
    expect(one.columns.map(({ name, kind }) => [name, kind])).toEqual([
      ['input.x', 'vector'],
      ['output.score', 'number'],
    ]);
    const many = columnsOfSignature({
      inputs: names.map((name) => ({ name, datatype: 'FP32' as const, shape: [-1, 1] })),
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
    });
    expect(many).toMatchObject({ columns: { length: MAX_COLUMNS }, unrecorded: 10_001 - MAX_COLUMNS });
    await r.monitoring.policies.set(
      r.call,
      'wide',
      { ...policy, fields: {}, subject: null, joinKey: null, slices: [] },
      { elsewhere: true },
    );
    const { recorder, end } = r.gateway();
    const rows = 5;
    const about = {
      project: 'default',
      endpoint: 'wide',
      model: 'wide',
      version: 1,
      versionDigest: `sha256:${'e'.repeat(64)}`,
    };
    const meta = batchOf(rowsOf(rows)).metas;
    const common = {
      rows,
      flags: new Uint8Array(rows).fill(TO_PROFILE),
      at: new Float64Array(rows).fill(Date.now()),
      missing: [],
    };
    const counts = { predictions: rows, failed: 0, rows, atMs: Date.now() };
    recorder.open({ id: 7, ...about, ...many });
    recorder.add({
      ...common,
      stream: 7,
      numbers: new Float64Array(rows * MAX_COLUMNS).fill(2),
      others: [],
      metas: meta,
      counts,
    });
    end();
    await r.monitoring.ingest();
    const profile = await r.monitoring.profiles.show(r.call, 'wide', {});
    expect(profile).toMatchObject({ rows, unrecorded: 10_001 - MAX_COLUMNS, columns: { length: MAX_COLUMNS } });
    const page = { after: null, limit: 10 };
    const listed = await r.monitoring.predictions.list(r.call, 'wide', { where: 'input.f1999 = 2' }, page);
    expect(listed).toHaveLength(rows);
    expect(Object.keys(listed[0]!.inputs)).toHaveLength(MAX_COLUMNS);
  }, 60_000);
});
