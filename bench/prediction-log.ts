/**
 * The prediction log in control, with the real services on real files: how fast it is written, filtered, exported, joined with labels, and how
 * fast a day's profile is read. `bin/node-24 bench/prediction-log.ts [--parts filter,export,labels,profile] [--data folder]`. With `--data`
 * the folder stays and is used again; without it everything lies below the system's temporary folder and goes.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { uuidv7 } from '../src/base/ids.ts';
import { randomNumbers } from '../src/base/random-numbers.ts';
import { insertFeedback } from '../src/monitoring/feedback/feedback-store.ts';
import { createDuckStore, quoteText } from '../src/monitoring/predictions/duck-store.ts';
import { insertFiles, type LogFile, listAllFiles } from '../src/monitoring/predictions/log-store.ts';
import { ENDPOINT, type Log, openLog, recordRows } from '../test/fixtures/log-folder.ts';
import { describeMachine } from './machine.ts';
import { spreadOf } from './statistics.ts';

const { values: flags } = parseArgs({
  options: {
    parts: { type: 'string', default: 'filter,export,labels,profile' },
    rows: { type: 'string', default: '1000000' },
    data: { type: 'string' },
  },
});
const ROWS = Number(flags.rows);
const FEATURES = 30;
const HOUR_MS = 3_600_000;
const START_MS = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 24 * HOUR_MS;
/** Selects about one row in 600 by two columns of thirty. */
const WHERE = "input.f3 > 2.5 and output.score > 0.7 and status = 'answered'";

const machine = describeMachine();
console.log(`${machine.processor}, ${machine.cores} cores, Node ${machine.node}; load before: ${machine.loadBefore}`);
const folder = flags.data ?? mkdtempSync(join(tmpdir(), 'slipway-bench-log-'));
mkdirSync(folder, { recursive: true });
const log = await openLog(folder, FEATURES);
const parts = flags.parts.split(',');
try {
  if (parts.some((part) => part !== 'profile')) await fill(log);
  if (parts.includes('filter')) await filter(log);
  if (parts.includes('export')) await exportMany(log);
  if (parts.includes('labels')) await labels(log);
  if (parts.includes('profile')) await dayProfile();
} finally {
  await log.close();
  if (flags.data === undefined) rmSync(folder, { recursive: true, force: true });
}

async function timed<T>(work: () => Promise<T> | T): Promise<{ ms: number; value: T }> {
  const from = performance.now();
  const value = await work();
  return { ms: performance.now() - from, value };
}

/** @returns of several runs after a first one */
async function repeated(runs: number, work: () => Promise<unknown>): Promise<string> {
  const { ms: first } = await timed(work);
  const more: number[] = [];
  for (let at = 0; at < runs; at++) more.push((await timed(work)).ms);
  const { median, min, max } = spreadOf(more);
  return `${median} ms (${min}-${max}), the first time ${Math.round(first)} ms`;
}

/** A million rows over two hours, by the way of gateways: policy, profiles, lines, Parquet. */
async function fill(of: Log): Promise<void> {
  if ((await listAllFiles(of.database.db)).length > 0) return;
  const written = await timed(() => recordRows(of, { rows: ROWS, startMs: START_MS, stepMs: (2 * HOUR_MS) / ROWS }));
  console.log(`recorded: ${Math.round(ROWS / (written.ms / 1000))} rows/s with profiles and lines, in one thread`);
  const { bytes } = written.value;
  const taken = await timed(() => of.monitoring.ingest());
  const files = await listAllFiles(of.database.db);
  const parquet = files.reduce((sum, file) => sum + Number(file.size_bytes), 0);
  console.log(
    `made Parquet of: ${(taken.ms / 1000).toFixed(1)} s, ${Math.round(bytes / ROWS)} bytes a row as lines, ${Math.round(parquet / ROWS)} as Parquet`,
  );
}

async function filter(of: Log): Promise<void> {
  const { predictions } = of.monitoring;
  const list = () => predictions.list(of.call, ENDPOINT, { where: WHERE }, { after: null, limit: 20 });
  const count = () => predictions.count(of.call, ENDPOINT, { where: WHERE });
  console.log(`rows: ${await predictions.count(of.call, ENDPOINT, {})}, of which match: ${await count()}`);
  console.log(`filtered, the youngest 20: ${await repeated(9, list)}`);
  console.log(`filtered, counted: ${await repeated(9, count)}`);
  const id = (await list())[0]!.id;
  console.log(`one by its id: ${await repeated(9, () => predictions.show(of.call, ENDPOINT, id))}`);
  const young = await recordRows(of, { rows: 100_000, startMs: START_MS + 3 * HOUR_MS, stepMs: 1 });
  console.log(`with 100,000 more that are still lines: ${await repeated(5, list)}`);
  young.remove();
}

/** Ten times as many: further hours with the same values. */
async function exportMany(of: Log): Promise<void> {
  const duck = createDuckStore({ temporary: join(folder, 'temporary') });
  const files = await listAllFiles(of.database.db);
  const copies: string[] = [];
  const rows: LogFile[] = [];
  for (let copy = 1; copy < 10; copy++) {
    for (const file of files) {
      const path = `${file.path}.${copy}.parquet`;
      copies.push(join(folder, path));
      const shift = copy * 2 * HOUR_MS;
      const select = `select * replace ("id" || '-${copy}' as "id", "at" + ${shift} as "at") from read_parquet(${quoteText(join(folder, file.path))})`;
      await duck.use((one) =>
        one.run(`copy (${select}) to ${quoteText(join(folder, path))} (format parquet, compression zstd)`),
      );
      const times = { from_ms: Number(file.from_ms) + shift, to_ms: Number(file.to_ms) + shift };
      rows.push({ ...file, ...times, id: uuidv7(), path, size_bytes: statSync(join(folder, path)).size });
    }
  }
  duck.close();
  await of.database.transaction((tx) => insertFiles(tx, rows));
  const { predictions } = of.monitoring;
  const exported = await timed(async () => {
    const file = await predictions.export(of.call, ENDPOINT, {}, 'parquet', false);
    let bytes = 0;
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        done();
      },
    });
    await pipeline(file!.stream, sink);
    return { rows: file!.rows, bytes };
  });
  const { rows: count, bytes } = exported.value;
  console.log(
    `exported: ${count.toLocaleString('en')} rows, ${Math.round(bytes / 1024 ** 2)} MiB of Parquet, in ${(exported.ms / 1000).toFixed(1)} s`,
  );
  const list = () => predictions.list(of.call, ENDPOINT, { where: WHERE }, { after: null, limit: 20 });
  console.log(`filtered, the youngest 20 of them: ${await repeated(3, list)}`);
  await of.database.db
    .deleteFrom('prediction_files')
    .where(
      'id',
      'in',
      rows.map((row) => row.id),
    )
    .execute();
  for (const path of copies) rmSync(path);
}

/** A label for each row, all of the last revision; how they got in is measured with fewer. */
async function labels(of: Log): Promise<void> {
  const { predictions, feedback } = of.monitoring;
  const ids: string[] = [];
  const duck = createDuckStore({ temporary: join(folder, 'temporary') });
  for (const file of await listAllFiles(of.database.db)) {
    const found = await duck.use((one) =>
      one.rows(`select "id" from read_parquet(${quoteText(join(folder, file.path))})`),
    );
    for (const row of found) ids.push(String(row['id']));
  }
  duck.close();
  const sent = ids.slice(0, 50_000);
  const took = await timed(async () => {
    for (let at = 0; at < sent.length; at += 5000) {
      const items = sent.slice(at, at + 5000).map((predictionId, row) => ({ predictionId, truth: row % 2 }));
      await feedback.send(of.call, ENDPOINT, items, '/items');
    }
  });
  console.log(
    `labels taken, 5,000 a request, each matched with the log: ${Math.round(sent.length / (took.ms / 1000))}/s`,
  );
  const rest = ids.slice(sent.length);
  for (let at = 0; at < rest.length; at += 20_000) {
    const rows = rest.slice(at, at + 20_000).map((id, row) => of.feedbackRow(id, sent.length + at + row + 1));
    await of.database.transaction((tx) => insertFeedback(tx, rows));
  }
  const out = async (withLabels: boolean): Promise<number> => {
    const { ms } = await timed(async () => {
      const file = await predictions.export(of.call, ENDPOINT, {}, 'parquet', withLabels);
      file!.stream.destroy();
    });
    return ms / 1000;
  };
  const [alone, joined] = [await out(false), await out(true)];
  console.log(
    `${ids.length.toLocaleString('en')} labels joined: ${(joined - alone).toFixed(1)} s (an export of ${joined.toFixed(1)} s with them, ${alone.toFixed(1)} s without)`,
  );
}

/** 200 features for a day, and for the 24 hours before now. */
async function dayProfile(): Promise<void> {
  const own = join(folder, 'wide');
  mkdirSync(own, { recursive: true });
  const of = await openLog(own, 200);
  const random = randomNumbers(3);
  try {
    const dayMs = Math.floor(Date.now() / (24 * HOUR_MS)) * 24 * HOUR_MS - 24 * HOUR_MS;
    const nowMs = dayMs + 24 * HOUR_MS + Math.floor(random() * HOUR_MS);
    for (let atMs = dayMs; atMs < nowMs; atMs += HOUR_MS)
      await recordRows(of, { rows: 2000, startMs: atMs, stepMs: 1, paneMs: HOUR_MS, lines: false });
    await of.monitoring.ingest();
    const { profiles } = of.monitoring;
    const iso = (ms: number): string => new Date(ms).toISOString();
    const day = { since: iso(dayMs), until: iso(dayMs + 24 * HOUR_MS) };
    const shown = await profiles.show(of.call, ENDPOINT, day);
    console.log(`a day's profile: ${shown.columns.length} columns of ${shown.profiled} rows`);
    console.log(`read, a calendar day: ${await repeated(9, () => profiles.show(of.call, ENDPOINT, day))}`);
    const last = { since: iso(dayMs + 30 * 60_000), until: iso(dayMs + 24.5 * HOUR_MS) };
    console.log(`read, 24 hours from half past: ${await repeated(9, () => profiles.show(of.call, ENDPOINT, last))}`);
    const column = { ...day, column: 'input.f7' };
    console.log(`read, one column of it: ${await repeated(9, () => profiles.show(of.call, ENDPOINT, column))}`);
    console.log(`size: ${await of.profileBytes()} bytes a column and pane, on average`);
  } finally {
    await of.close();
  }
}
