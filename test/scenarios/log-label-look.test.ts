/** Log, label, look: the commands of the guide, typed as they stand, against a server that `npm start` would start. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { eventually, ROOT, type RunningServer, startServer } from './running-server.ts';

const GUIDE = readFileSync(join(ROOT, 'docs/guides/log-label-look.md'), 'utf8');
const ENDPOINT = 'credit-risk';
vi.setConfig({ testTimeout: 180_000 });
let server: RunningServer;
let folder: string;

beforeAll(async () => {
  server = await startServer({ sample: true });
  folder = mkdtempSync(join(tmpdir(), 'slipway-guide-'));
  mkdirSync(join(folder, 'bin'));
  for (const name of ['bin/slipway', 'examples']) symlinkSync(join(ROOT, name), join(folder, name));
  writeFileSync(join(folder, 'privacy.yaml'), /```yaml\n([^`]*)```/.exec(GUIDE)![1]!);
}, 60_000);
afterAll(async () => {
  await server?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function type(command: string): { code: number | null; said: string } {
  const run = spawnSync('sh', ['-c', command], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_DATA: server.dataDir },
    timeout: 60_000,
  });
  return { code: run.status, said: `${run.stdout}${run.stderr}` };
}

function typed(command: string): string {
  const { code, said } = type(command);
  expect(code, `${command}\n${said}`).toBe(0);
  return said;
}

/** One prediction of a row that was not there before: rows that come twice are a fault of data quality. */
let asked = 0;
async function ask(change: Record<string, unknown> = {}, rows = 1): Promise<void> {
  const { request } = (await server.client.describe(ENDPOINT)).example;
  const [row] = (request as { records: Record<string, unknown>[] }).records;
  const records = Array.from({ length: rows }, () => ({ ...row, credit_amount: 1000 + asked++, ...change }));
  await server.client.predict(ENDPOINT, { records } as never);
}

/** Commands of one section of the guide. */
function commandsOf(section: string): string[] {
  const from = GUIDE.indexOf(`\n## ${section}`);
  expect(from, section).toBeGreaterThan(0);
  const to = GUIDE.indexOf('\n## ', from + 1);
  const commands = GUIDE.slice(from, to === -1 ? undefined : to)
    .split('\n')
    .filter((line) => /^ {4}(bin\/slipway|awk) /.test(line))
    .map((line) => line.trim());
  expect(commands.length).toBeGreaterThan(1);
  return commands;
}

test('without a policy nothing is logged; the guide sets one', async () => {
  await ask();
  expect(await server.client.predictions.list(ENDPOINT).all()).toEqual([]);
  const [dryRun, set] = commandsOf('1.').map(typed);
  expect(dryRun).toMatch(/input\.telephone +text +dropped +input\.telephone/);
  expect(dryRun).toMatch(/input\.age +\w+ +masked: steps of 5/);
  expect(dryRun).toContain('Nothing was changed.');
  expect(set).toContain('revision 1');
});

test('predictions are logged, listed, filtered and exported', async () => {
  // The policy holds a second after it was set.
  await eventually('the policy holds', async () => {
    await ask();
    return (await server.client.predictions.list(ENDPOINT).all()).length > 0 || null;
  });
  const [predict, ...look] = commandsOf('2.');
  typed(predict!);
  await eventually('all rows are there', async () => {
    const rows = await server.client.predictions.list(ENDPOINT, { limit: 200 }).all();
    return rows.length >= 200 || null;
  });
  const [listed, asJson] = look.map(typed);
  expect(listed!.trim().split('\n').length).toBeGreaterThan(3);
  const items = (JSON.parse(asJson!) as { data: { inputs: Record<string, unknown> }[] }).data;
  expect(items).toHaveLength(5);
  for (const { inputs } of items) {
    expect(inputs['housing']).toBe('rent');
    expect(Number(inputs['age']) % 5).toBe(0);
    expect(inputs).not.toHaveProperty('telephone');
  }
  const id = (await server.client.predictions.list(ENDPOINT, { limit: 1 }).page()).items[0]!.id;
  expect(typed(`bin/slipway predictions show ${id}`)).toContain('output.probabilities.bad');
});

test('labels find their predictions, once', () => {
  const [awk, load, list, join_] = commandsOf('3.').map(typed);
  expect(awk).toBe('');
  expect(load).toMatch(/Took \d\d\d records/);
  expect(load).not.toContain('wait for a prediction');
  expect(list).toContain('truth');
  expect(join_).toContain('labelled.parquet');
  expect(typed(commandsOf('3.')[1]!)).toMatch(/Took 0 records, \d\d\d known already/);
});

test('profiles are compared with the reference, and rules hold', async () => {
  await eventually('a minute is over', async () => (await server.client.profile(ENDPOINT)).rows >= 200 || null, 90_000);
  const [profile, age, last, reference, , set, quality] = commandsOf('4.').map(typed);
  expect(profile).toContain('Reference: 200 rows of the set that came with the version');
  expect(profile).toContain('input.housing=');
  expect(profile).not.toContain('telephone');
  expect(age).toMatch(/^input\.age/);
  expect(last).toContain('input.age');
  expect(reference).toContain('200 rows');
  expect(set).toContain('Revision 1');
  expect(quality).toContain('0 fail');
});

test('nothing is kept of somebody who is not there', () => {
  const [find, erase] = commandsOf('5.').map(typed);
  expect(find).toContain('Nothing is kept of it.');
  expect(erase).toContain('Would erase 0 rows');
});

test('what the policy drops is in no byte of the data folder: segments, Parquet, profiles, the database, logs, errors', async () => {
  const CANARY = 'canary-9b2f-telephone';
  await ask({ telephone: CANARY }, 20);
  await server.client.feedback.send([{ predictionId: '01890000-0000-7000-8000-000000000000', text: CANARY }], {
    endpoint: ENDPOINT,
  });
  for (const wrong of [
    () => ask({ telephone: CANARY, age: 'old' }),
    () => server.client.predict(ENDPOINT, { records: [{ telephone: CANARY }] }),
    () => server.client.predictions.list(ENDPOINT, { where: `input.telephone = '${CANARY}'` }).all(),
  ]) {
    const error = (await wrong().then(
      () => null,
      (thrown: unknown) => thrown,
    )) as { message: string; hint: string | null; fields: unknown } | null;
    if (error !== null) expect(JSON.stringify([error.message, error.hint, error.fields])).not.toContain(CANARY);
  }
  await eventually('the rows are logged', async () => {
    const page = await server.client.predictions.list(ENDPOINT, { limit: 200 }).page();
    return page.items.filter((one) => Date.parse(one.at) > Date.now() - 30_000).length >= 20 || null;
  });
  const nowhere = (): void => {
    const files = readdirSync(server.dataDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(files.length).toBeGreaterThan(5);
    expect(files.filter((path) => readFileSync(path).includes(CANARY))).toEqual([]);
    expect(server.output()).not.toContain(CANARY);
  };
  expect(await server.stop()).toBe(0);
  nowhere();
  // Parquet is compressed: its values are looked at as they are given out, with all else that is said of these rows.
  server = await startServer({ dataDir: server.dataDir });
  const { predictions, feedback, profile, quality, subjects } = server.client;
  await subjects.erase('nobody', { dryRun: true }); // takes over what the gateway closed
  const parquet = readdirSync(server.dataDir, { recursive: true }).filter((name) => String(name).endsWith('.parquet'));
  expect(parquet.length).toBeGreaterThan(0);
  const exported = await predictions.export(ENDPOINT, { format: 'ndjson', feedback: true });
  const lines = await new Response(exported!.body).text();
  expect(lines).toContain('input.credit_amount');
  const said = [
    lines,
    ...(await Promise.all([
      predictions.list(ENDPOINT).all(),
      feedback.list().all(),
      profile(ENDPOINT),
      quality.check(ENDPOINT),
      subjects.find(CANARY),
    ]).then((answers) => answers.map((one) => JSON.stringify(one)))),
    typed('bin/slipway logs'),
  ];
  expect(said.filter((text) => text.includes(CANARY))).toEqual([]);
  expect(await server.stop()).toBe(0);
  nowhere();
}, 90_000);
