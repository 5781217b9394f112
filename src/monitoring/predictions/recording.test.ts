/** From rows of the gateway's event loop to SQL, on real files, with a real database and DuckDB; and what goes wrong on the way. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Call } from '../../base/access/call.ts';
import { systemClock as clock } from '../../base/clock.ts';
import { type Database, openSqlite } from '../../base/db/database.ts';
import { uuidv7 } from '../../base/ids.ts';
import { createLogger } from '../../base/log.ts';
import { readSettings } from '../../base/settings.ts';
import type { Signature } from '../../registry/signature.ts';
import { createMonitoring, type Monitoring } from '../monitoring.ts';
import { type PaneLine, writePanes } from './pane-writer.ts';
import { DEFAULT_POLICY, type PrivacyPolicy } from './privacy-policy.ts';
import { recordedColumnsOf } from './recorded-columns.ts';
import { type EventMeta, type RowBatch, type Stream, TO_PROFILE } from './recorded-rows.ts';
import { PANES_FOLDER, type RecordingFile, SEGMENTS_FOLDER } from './recording-file.ts';
import { createRowRecorder, type RowRecorder } from './row-recorder.ts';
import { createSegmentWriter, type SegmentWriter } from './segment-writer.ts';

const CANARY = 'canary-7f3a@example.org';
const signature: Signature = {
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 2], features: ['age', 'amount'] },
    { name: 'email', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'country', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'customer', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'embedding', datatype: 'FP32', shape: [-1, 100] },
  ],
  outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
};
const policy: PrivacyPolicy = {
  ...DEFAULT_POLICY,
  sample: 1,
  fields: {
    'input.email': { action: 'drop' },
    'input.customer': { action: 'hash' },
    'input.age': { action: 'bucket', width: 10 },
    'input.embedding': { action: 'drop' },
  },
  subject: 'input.customer',
  joinKey: 'input.customer',
  slices: ['input.country'],
};

let folder: string;
let database: Database;
let monitoring: Monitoring;
let call: Call;
let file: RecordingFile;
let panes = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-recording-'));
  database = await openSqlite({ path: ':memory:', clock });
  const project = { id: uuidv7(), name: 'default' };
  await database.db
    .insertInto('projects')
    .values({ ...project, created_at: clock.now().toISOString() })
    .execute();
  const log = createLogger('control', 'error', { write: () => undefined });
  monitoring = createMonitoring({ database, clock, log, settings: { ...readSettings({}).settings, dataDir: folder } });
  call = {
    principal: { actor: 'key:test', keyId: 'test', project: null, scopes: ['admin'] },
    project,
    requestId: 'test',
    dryRun: false,
    ifMatch: null,
    idempotencyKey: null,
  };
  const owned = { project_id: project.id, created_at: clock.now().toISOString(), created_by: 'test', revision: 1 };
  await database.db
    .insertInto('models')
    .values({ ...owned, id: 'm1', name: 'churn-model', description: null, card: null, tags: '{}', next_version: 2 })
    .execute();
  await database.db
    .insertInto('endpoints')
    .values({
      ...owned,
      id: 'e1',
      name: 'churn',
      environment: 'production',
      model_id: 'm1',
      target: '{"version":1}',
      pins: '[]',
      loaded: 1,
      updated_at: owned.created_at,
    })
    .execute();
  await monitoring.policies.set(call, 'churn', {
    sample: 1,
    fields: {
      'input.email': 'drop',
      'input.customer': 'hash',
      'input.age': { bucket: 10 },
      'input.embedding': 'drop',
    },
    subject: 'input.customer',
    joinKey: 'input.customer',
    slices: ['input.country'],
  });
  file = JSON.parse(readFileSync(join(folder, 'predictions/recording.json'), 'utf8'));
  expect(file.policies['default/churn']).toEqual(policy);
});
afterEach(async () => {
  await monitoring.stop();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const stream = (version = 1): Stream => ({
  id: version,
  project: 'default',
  endpoint: 'churn',
  model: 'churn-model',
  version,
  versionDigest: `sha256:${String(version).repeat(64)}`,
  ...recordedColumnsOf(signature),
});

function meta(row: number, id = uuidv7()): EventMeta {
  return {
    id,
    row,
    requestId: 'r',
    protocol: 'plain',
    arm: null,
    reason: 'whole',
    propensity: 1,
    unit: 'unit-raw-1',
    plan: null,
    epoch: 0,
    status: 'answered',
    latencyMs: 1.23456,
    queueMs: 0,
    runMs: 1,
    rows: 1,
    shadowOf: null,
  };
}

type Row = {
  age: number;
  amount: number;
  email?: string;
  country?: string;
  customer: string;
  score: number;
  id?: string;
  atMs?: number;
};

function batchOf(rows: readonly Row[], of = 1): RowBatch {
  return {
    stream: of,
    rows: rows.length,
    flags: new Uint8Array(rows.length).fill(TO_PROFILE),
    at: Float64Array.from(rows, (row) => row.atMs ?? Date.now()),
    numbers: Float64Array.from(rows.flatMap((row) => [row.age, row.amount, row.score])),
    others: rows.flatMap((row) => [
      row.email ?? CANARY,
      row.country ?? 'DE',
      row.customer,
      Float64Array.from({ length: 100 }, () => 7),
    ]),
    missing: [],
    metas: rows.map((row) => meta(0, row.id)),
    counts: { predictions: rows.length, failed: 0, rows: rows.length, atMs: rows[0]?.atMs ?? Date.now() },
  };
}

/** What the thread is, without a thread. */
function gateway(instance: string = uuidv7()): { recorder: RowRecorder; writer: SegmentWriter; end(): void } {
  const writer = createSegmentWriter({ folder: join(folder, SEGMENTS_FOLDER), instance, quotaBytes: 2 ** 40 });
  const take = (lines: readonly PaneLine[]): void =>
    writePanes(join(folder, PANES_FOLDER), `${instance}-${panes++}.jsonl`, lines);
  const recorder = createRowRecorder(
    {
      append: (key, header, line) => void writer.append(key, header, line),
      take,
      edgesOf: () => new Map([['input.age', { revision: 1, at: Float64Array.of(0, 50, 100) }]]),
      nowMs: Date.now,
      random: Math.random,
    },
    'fallback',
  );
  recorder.configure(file);
  recorder.open(stream());
  return {
    recorder,
    writer,
    end() {
      recorder.close();
      writer.close();
    },
  };
}

const list = (where?: string) => monitoring.predictions.list(call, 'churn', { where }, { after: null, limit: 1000 });
const rowsOf = (n: number, change: Partial<Row> = {}): Row[] =>
  Array.from({ length: n }, (_, at) => ({
    age: 31 + at,
    amount: at,
    customer: `c${at % 10}`,
    score: at / n,
    ...change,
  }));

function allBytes(): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n');
}

describe('a logged prediction', () => {
  test('is read from its segment at once, and from Parquet later, the same', async () => {
    const { recorder, writer, end } = gateway();
    recorder.add(batchOf(rowsOf(100)));
    writer.tick();
    const before = await list("output.score >= 0.5 and input.country = 'DE'");
    expect(before).toHaveLength(50);
    expect(before.find((one) => one.inputs['amount'] === 75)).toMatchObject({
      version: 1,
      status: 'answered',
      latencyMs: 1.235,
      inputs: { age: 100, amount: 75, country: 'DE', customer: expect.stringMatching(/^[0-9a-f]{32}$/) },
      outputs: { score: 0.75 },
      joinKey: expect.stringMatching(/^[0-9a-f]{32}$/),
      unit: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    end();
    await monitoring.ingest();
    expect(
      readdirSync(join(folder, SEGMENTS_FOLDER), { recursive: true }).filter((name) => String(name).includes('jsonl')),
    ).toEqual([]);
    expect(await list("output.score >= 0.5 and input.country = 'DE'")).toEqual(before);
    expect(await monitoring.predictions.count(call, 'churn', {})).toBe(100);
    const shown = await monitoring.predictions.show(call, 'churn', before[0]!.id);
    expect(shown.rows).toEqual([before[0]]);
  });

  test('what the policy drops is in no file, no log line and no error', async () => {
    const { recorder, end } = gateway();
    recorder.add(batchOf(rowsOf(300)));
    end();
    await monitoring.ingest();
    const bytes = allBytes();
    expect(bytes.length).toBeGreaterThan(1000);
    expect(bytes).not.toContain(CANARY);
    expect(bytes).not.toContain('unit-raw-1');
    expect(bytes).not.toMatch(/"c[0-9]"/);
    const tables = ['profile_columns', 'profile_panes', 'audit', 'prediction_files'] as const;
    for (const table of tables) {
      const rows = await database.db.selectFrom(table).selectAll().execute();
      const text = rows
        .map((row) =>
          Object.values(row)
            .map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value)))
            .join(),
        )
        .join('\n');
      expect(text, table).not.toContain(CANARY);
    }
    const error = await list(`input.email = '${CANARY}'`).catch((thrown: Error) => thrown);
    expect(String((error as Error).message)).not.toContain(CANARY);
  });

  test('NaN, infinities and nulls come back as they are, and vectors as lists', async () => {
    const { recorder, end } = gateway();
    recorder.configure({ ...file, policies: { 'default/churn': { ...policy, fields: {} } } });
    recorder.add(
      batchOf([
        { age: Number.NaN, amount: Number.POSITIVE_INFINITY, customer: 'a', score: -0 },
        { age: 1, amount: Number.NEGATIVE_INFINITY, customer: 'b', score: 1e-30 },
      ]),
    );
    end();
    for (const _ of ['segment', 'parquet']) {
      const rows = (await list()).toSorted((a, b) => Number(a.outputs['score']) - Number(b.outputs['score']));
      expect(rows.map((row) => [row.inputs['age'], row.inputs['amount'], row.outputs['score']])).toEqual([
        ['NaN', 'Infinity', 0],
        [1, '-Infinity', 1e-30],
      ]);
      expect(rows[0]!.inputs['embedding']).toEqual(Array.from({ length: 100 }, () => 7));
      await monitoring.ingest();
    }
  });

  test('pages follow one another, the youngest first, also over both kinds of files', async () => {
    const one = gateway();
    one.recorder.add(batchOf(rowsOf(30)));
    one.end();
    await monitoring.ingest();
    const two = gateway();
    two.recorder.add(batchOf(rowsOf(30)));
    two.writer.tick();
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await monitoring.predictions.list(call, 'churn', {}, { after, limit: 7 });
      seen.push(...page.map((row) => row.id));
      if (page.length < 7) break;
      const last = page.at(-1)!;
      after = JSON.stringify([Date.parse(last.at), last.id, last.row]);
    }
    expect(new Set(seen).size).toBe(60);
    expect(seen).toEqual((await list()).map((row) => row.id));
  });
});

describe('exports', () => {
  test('to Parquet, CSV and JSON lines, with what became of the predictions', async () => {
    const { recorder, end } = gateway();
    const rows = rowsOf(20).map((row) => ({ ...row, id: uuidv7() }));
    recorder.add(batchOf(rows));
    end();
    await monitoring.feedback
      .send(
        call,
        null,
        [
          { predictionId: rows[3]!.id, truth: 1 },
          { predictionId: rows[3]!.id, truth: 0, source: 'later' },
        ],
        '/items',
      )
      .catch(() => undefined);
    for (const format of ['parquet', 'csv', 'ndjson'] as const) {
      const file = await monitoring.predictions.export(call, 'churn', { where: 'input.amount < 10' }, format, true);
      expect(file!.rows).toBe(10);
      const chunks: Buffer[] = [];
      for await (const chunk of file!.stream) chunks.push(chunk as Buffer);
      expect(Buffer.concat(chunks).length).toBe(file!.sizeBytes);
      const text = Buffer.concat(chunks).toString();
      if (format === 'ndjson') expect(JSON.parse(text.split('\n')[0]!)).toHaveProperty('input.amount');
      if (format === 'csv') expect(text.split('\n')[0]).toContain('label_weight');
      if (format === 'parquet') expect(text.slice(0, 4)).toBe('PAR1');
    }
    expect(
      await monitoring.predictions.export(call, 'churn', { where: 'input.amount > 1000' }, 'csv', false),
    ).toBeNull();
  });
});

describe('profiles', () => {
  test('of two gateways, of slices and of minutes are merged to hours and days', async () => {
    const dayMs = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 86_400_000;
    for (const [at, country] of ['DE', 'FR'].entries()) {
      const { recorder, end } = gateway();
      recorder.add(batchOf(rowsOf(50, { country, atMs: dayMs + 3_600_000 * at + 1000 })));
      recorder.add(batchOf(rowsOf(50, { country, atMs: dayMs + 3_600_000 * at + 61_000 })));
      end();
    }
    await monitoring.ingest();
    const since = new Date(dayMs).toISOString();
    const until = new Date(dayMs + 86_400_000).toISOString();
    const day = await monitoring.profiles.show(call, 'churn', { since, until });
    expect(day).toMatchObject({
      predictions: 200,
      rows: 200,
      profiled: 200,
      slices: ['input.country=DE', 'input.country=FR'],
    });
    const amount = day.columns.find((one) => one.column === 'input.amount')!;
    expect(amount).toMatchObject({ values: 200, zeros: 4, min: 0, max: 49, distinct: 50 });
    expect(amount.mean).toBeCloseTo(24.5, 9);
    const age = day.columns.find((one) => one.column === 'input.age')!;
    // 31 … 80 in tens: 30 (9 rows), 40 … 70 (10 each), 80 (1), four times; edges 0, 50, 100.
    expect(age.histogram).toEqual({ edges: [0, 50, 100], counts: [0, 76, 124, 0], revision: 1 });
    expect(day.columns.map((one) => one.column)).not.toContain('input.email');
    const sliced = await monitoring.profiles.show(call, 'churn', {
      since,
      until,
      slice: 'input.country=DE',
      column: 'input.amount',
    });
    expect(sliced.columns).toHaveLength(1);
    expect(sliced.columns[0]!.values).toBe(100);
    const hour = await monitoring.profiles.show(call, 'churn', {
      since: new Date(dayMs + 3_600_000).toISOString(),
      until: new Date(dayMs + 7_200_000).toISOString(),
    });
    expect(hour.predictions).toBe(100);
    const minute = await monitoring.profiles.show(call, 'churn', {
      since,
      until: new Date(dayMs + 60_000).toISOString(),
    });
    expect(minute.predictions).toBe(50);
    expect(
      await monitoring.profiles.show(call, 'churn', { since: '2020-01-01T00:00:00Z', until: '2020-01-02T00:00:00Z' }),
    ).toMatchObject({ predictions: 0, columns: [] });
  });

  test('a file that is taken twice, or was left behind after it was taken, counts once', async () => {
    const { recorder, end } = gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    const [name] = readdirSync(join(folder, PANES_FOLDER));
    const bytes = readFileSync(join(folder, PANES_FOLDER, name!));
    await monitoring.ingest();
    writeFileSync(join(folder, PANES_FOLDER, name!), bytes);
    await monitoring.ingest();
    expect((await monitoring.profiles.show(call, 'churn', {})).predictions).toBe(10);
    writeFileSync(join(folder, PANES_FOLDER, 'broken-1.jsonl'), '{"project":"default"');
    await monitoring.ingest();
    expect(readdirSync(join(folder, PANES_FOLDER))).toEqual(['broken-1.jsonl.unreadable']);
  });

  test('a clock that jumps opens no end of minutes and loses none', async () => {
    const { recorder, end } = gateway();
    const now = Date.now();
    for (const jump of [0, -3_600_000, 7_200_000, 60_000, -86_400_000, 0, 0])
      recorder.add(batchOf(rowsOf(5, { atMs: now + jump })));
    end();
    await monitoring.ingest();
    const panes = await database.db
      .selectFrom('profile_panes')
      .selectAll()
      .where('span', '=', 'minute')
      .where('slice', '=', '')
      .execute();
    expect(panes.reduce((sum, pane) => sum + Number(pane.rows), 0)).toBe(35);
  });
});

describe('what goes wrong', () => {
  test('a segment that is cut in a line, or damaged in the middle, loses that line only, and it is counted', async () => {
    const { recorder, end } = gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    const path = segments()[0]!;
    const lines = readFileSync(path, 'utf8').split('\n');
    lines[3] = `${lines[3]!.slice(0, 40)}\u0000\u0001`;
    writeFileSync(path, lines.join('\n').slice(0, -60));
    expect(await list()).toHaveLength(8);
    await monitoring.ingest();
    expect(await list()).toHaveLength(8);
    const [file] = await database.db.selectFrom('prediction_files').selectAll().execute();
    expect(Number(file!.bad_lines)).toBe(2);
  });

  test('two gateways with the same name of a segment write two files', async () => {
    const [one, two] = [gateway('same'), gateway('same')];
    one.recorder.add(batchOf(rowsOf(3)));
    one.writer.tick();
    two.recorder.add(batchOf(rowsOf(4)));
    two.writer.tick();
    expect(segments()).toHaveLength(2);
    expect(await list()).toHaveLength(7);
    one.writer.close();
    two.writer.close();
  });

  test('a crash between index and removal brings nothing back twice', async () => {
    const { recorder, end } = gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    const path = segments()[0]!;
    const bytes = readFileSync(path);
    await monitoring.ingest();
    writeFileSync(path, bytes); // the removal did not happen
    expect(await list()).toHaveLength(10);
    await monitoring.ingest();
    expect(segments()).toEqual([]);
    expect(await list()).toHaveLength(10);
  });

  test('a Parquet file without an index entry, as a crash leaves it, goes at the next start', async () => {
    const stray = join(folder, 'predictions/parquet/p/churn/2026-01-01/00');
    mkdirSync(stray, { recursive: true });
    writeFileSync(join(stray, 'stray.parquet'), 'PAR1');
    expect(await monitoring.compactor.sweep()).toBe(1);
    expect(readdirSync(stray)).toEqual([]);
  });

  test('a damaged Parquet file is told as that, without its path', async () => {
    const { recorder, end } = gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    await monitoring.ingest();
    const [file] = await database.db.selectFrom('prediction_files').selectAll().execute();
    const path = join(folder, file!.path);
    writeFileSync(path, readFileSync(path).fill(0, 0, 400));
    await expect(list()).rejects.toMatchObject({ code: 'data_corrupt' });
    renameSync(path, `${path}.gone`);
    await expect(list()).rejects.toMatchObject({ code: 'data_corrupt' });
  });

  test('lines of a policy that is no more keep their columns', async () => {
    const { recorder, writer, end } = gateway();
    recorder.add(batchOf(rowsOf(5)));
    recorder.configure({
      ...file,
      revision: file.revision + 1,
      policies: { 'default/churn': { ...policy, fields: { ...policy.fields, 'input.amount': { action: 'drop' } } } },
    });
    recorder.add(batchOf(rowsOf(5)));
    writer.tick();
    expect(await list('input.amount is not null')).toHaveLength(5);
    end();
    await monitoring.ingest();
    expect(await list('input.amount is null')).toHaveLength(5);
  });
});

describe('the writer', () => {
  const make = (options: Partial<Parameters<typeof createSegmentWriter>[0]> = {}) =>
    createSegmentWriter({ folder: join(folder, SEGMENTS_FOLDER), instance: 'w', quotaBytes: 2 ** 40, ...options });

  test('a quota that is used up drops and counts', () => {
    let nowMs = 0;
    const writer = make({ quotaBytes: 1000, nowMs: () => nowMs });
    for (let i = 0; i < 100; i++) {
      writer.append('default/churn/a', () => 'h', 'x'.repeat(100));
      writer.tick();
      nowMs += 6000;
    }
    expect(writer.counts.written + writer.counts.droppedQuota).toBe(100);
    expect(writer.counts.written).toBeLessThan(12);
    writer.close();
  });

  test('a disk with less than its reserve left drops, counts, and says why', () => {
    const writer = make({ reserveBytes: 2 ** 60 });
    expect(writer.append('default/churn/a', () => 'h', 'x')).toBe(false);
    expect(writer.counts).toMatchObject({ written: 0, droppedDisk: 1, fault: 'ENOSPC' });
  });

  test('many endpoints share a bounded number of open files', () => {
    const writer = make();
    for (let i = 0; i < 200; i++) writer.append(`default/e${i}/a`, () => 'h', 'x');
    writer.tick();
    const open = segments().filter((path) => path.endsWith('.open'));
    expect(open.length).toBe(64);
    expect(writer.counts.written).toBe(200);
    writer.close();
  });

  test('a full disk is survived: what is there stays readable, and writing goes on when there is room', () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]).status !== 0) return;
    let nowMs = 0;
    const writer = make({ folder: small, reserveBytes: 0, nowMs: () => nowMs });
    try {
      for (let i = 0; i < 30; i++) {
        for (let j = 0; j < 1000; j++)
          writer.append('default/churn/a', () => 'h', `{"line":${j},"fill":"${'x'.repeat(80)}"}`);
      }
      expect(writer.counts.droppedDisk).toBeGreaterThan(5000);
      expect(writer.counts.written).toBeGreaterThan(5000);
      expect(writer.counts.fault).toBe('ENOSPC');
      for (const entry of readdirSync(small, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())) {
        rmSync(join(entry.parentPath, entry.name));
      }
      nowMs += 10_000;
      const before = writer.counts.written;
      writer.append('default/churn/a', () => 'h', '{}');
      writer.tick();
      expect(writer.counts.written).toBe(before + 1);
      expect(writer.counts.fault).toBeNull();
      writer.close();
    } finally {
      spawnSync('umount', ['-l', small]);
    }
  });

  test('killed at any moment it leaves whole lines but for the last one, and all that was synced', async () => {
    const victim = join(import.meta.dirname, '../../../test/fixtures/segment-victim.ts');
    for (const afterMs of [0, 3, 11, 30, 80]) {
      const into = join(folder, `killed-${afterMs}`);
      const run = spawnSync(process.execPath, [victim, into, String(afterMs)], { encoding: 'utf8', timeout: 20_000 });
      expect(run.signal, run.stderr).toBe('SIGKILL');
      const synced = Number(run.stdout.trim().split('\n').at(-1) || 0);
      const lines = readdirSync(into, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .flatMap((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8').split('\n'));
      const whole = lines.filter((line) => line.startsWith('{"n":') && line.endsWith('}'));
      expect(whole.length).toBeGreaterThanOrEqual(synced);
      const numbers = whole.map((line) => (JSON.parse(line) as { n: number }).n);
      expect(numbers).toEqual(numbers.map((_, at) => at));
    }
  });
});

describe('the right to be forgotten', () => {
  test('a subject is found, given out and erased in segments, Parquet, reservoirs and feedback, with proof', async () => {
    const one = gateway();
    const old = rowsOf(40, { atMs: Date.now() - 7_200_000 }).map((row) => ({ ...row, id: uuidv7() }));
    one.recorder.add(batchOf(old));
    one.end();
    await monitoring.ingest();
    const two = gateway();
    const young = rowsOf(20).map((row) => ({ ...row, id: uuidv7() }));
    two.recorder.add(batchOf(young));
    two.writer.tick();
    await monitoring.feedback.send(
      call,
      null,
      [old, young].flatMap((rows) => rows.map((row) => ({ predictionId: row.id, truth: 1 }))),
      '/items',
    );
    const found = await monitoring.erasures.find(call, 'c3');
    expect(found.endpoints[0]!.predictions).toHaveLength(6);
    expect(found.endpoints[0]!.feedback).toHaveLength(6);
    const proof = await monitoring.erasures.erase(call, 'c3', 'asked by letter');
    expect(proof).toMatchObject({ rows: 4, feedback: 6, left: 0, openSegments: 1 });
    expect(proof.reservoirRows).toBeGreaterThan(0);
    expect(proof.files).toEqual([
      { before: expect.stringMatching(/^sha256:/), after: expect.stringMatching(/^sha256:/), rows: 4 },
    ]);
    // The two rows that the second gateway still holds open are hidden at once, and gone when it closes.
    expect(await list()).toHaveLength(54);
    two.end();
    await monitoring.ingest();
    expect(await list()).toHaveLength(54);
    expect(allBytes()).not.toContain(found.subject);
    expect((await monitoring.erasures.find(call, 'c3')).endpoints).toEqual([]);
    // A later prediction of the same subject is a new one.
    const three = gateway();
    three.recorder.add(batchOf(rowsOf(10, { atMs: Date.now() + 1000 })));
    three.end();
    expect((await monitoring.erasures.find(call, 'c3')).endpoints[0]!.predictions).toHaveLength(1);
    const audit = await database.db.selectFrom('audit').selectAll().where('action', '=', 'predictions.erase').execute();
    expect(audit[0]).toMatchObject({ reason: 'asked by letter' });
  });

  test('a legal hold keeps all of it, and says why', async () => {
    const { recorder, end } = gateway();
    recorder.add(batchOf(rowsOf(10)));
    end();
    await monitoring.erasures.hold(call, 'churn', 'case 17');
    await expect(monitoring.erasures.erase(call, 'c3', null)).rejects.toMatchObject({
      code: 'in_use',
      message: expect.stringContaining('case 17'),
    });
    await monitoring.erasures.hold(call, 'churn', null);
    expect((await monitoring.erasures.erase(call, 'c3', null)).rows).toBe(1);
  });
});

function segments(): string[] {
  return readdirSync(join(folder, SEGMENTS_FOLDER), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
