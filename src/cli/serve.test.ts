/** The command line against the real server that it starts: every verb, as a person would type it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const SLIPWAY = join(ROOT, 'bin/slipway');
const MODELS = join(ROOT, 'test/fixtures/models');

let folder: string;
let dataDir: string;
let server: Served;

type Ready = { url: string; inferenceUrl: string; adminKey: string | null; readyMs: number; sample: unknown };
type Served = { process: ChildProcess; ready: Ready; stderr: () => string; ended: Promise<number | null> };

/** Our environment without what would name another server. */
const ENV = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_')));

async function serve(...flags: string[]): Promise<Served> {
  const args = [
    'serve',
    '--data',
    dataDir,
    '--grpc-port',
    '0',
    '--http-port',
    '0',
    '--control-port',
    '0',
    '--drain',
    '1s',
    '--json',
    ...flags,
  ];
  const child = spawn(SLIPWAY, args, { cwd: folder, env: ENV });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', resolve);
    child.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${stderr}`)));
  });
  return { process: child, ready: (JSON.parse(line) as { data: Ready }).data, stderr: () => stderr, ended };
}

type Run = { code: number | null; stdout: string; stderr: string };

/** In the folder whose server is running: nothing names it, the data folder does. */
function slipway(...args: string[]): Run {
  const run = spawnSync(SLIPWAY, args, { cwd: folder, env: { ...ENV, SLIPWAY_DATA: dataDir }, encoding: 'utf8' });
  return { code: run.status, stdout: run.stdout, stderr: run.stderr };
}

/** The data of the one document, of a command that succeeds. */
function data<T = Record<string, unknown>>(...args: string[]): T {
  const run = slipway(...args, '--json');
  expect({ args, code: run.code, stderr: run.stderr }).toEqual({ args, code: 0, stderr: '' });
  return (JSON.parse(run.stdout) as { data: T }).data;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-serve-'));
  dataDir = join(folder, 'data');
  server = await serve('--no-sample');
}, 60_000);

afterAll(async () => {
  server.process.kill('SIGTERM');
  await server.ended;
  rmSync(folder, { recursive: true, force: true });
});

test('the first start prints its addresses and the admin key, and keeps everything to its owner', () => {
  expect(server.ready.adminKey).toMatch(/^slipway_live_/);
  expect(server.ready.sample).toBeNull();
  expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  for (const file of ['admin.key', 'run/server.json', 'logs/slipway.log']) {
    expect([file, statSync(join(dataDir, file)).mode & 0o777]).toEqual([file, 0o600]);
  }
});

test('deploy makes a model, its version and an endpoint, and tries it', () => {
  const run = slipway(
    'deploy',
    join(MODELS, 'add.onnx'),
    '--name',
    'churn',
    '--tag',
    'team=risk',
    '--trained-by',
    'ada',
  );
  expect({ code: run.code, stderr: run.stderr }).toMatchObject({ code: 0 });
  expect(run.stdout).toContain('churn@1 is served by the new endpoint churn');
  for (const part of [
    'Signature',
    'FP32',
    'Validation',
    'First answer',
    'Call it',
    'Next',
    '/endpoints/churn/predict',
  ]) {
    expect(run.stdout).toContain(part);
  }
  // The line to paste works as it is.
  const curl = /curl -s [\s\S]*?'\n/.exec(run.stdout)![0];
  const answer = spawnSync('sh', ['-c', curl], { encoding: 'utf8' });
  if (answer.error === undefined && answer.status !== 127) {
    expect(JSON.parse(answer.stdout)).toMatchObject({ endpoint: 'churn', version: 1 });
  }
});

test('predict takes a record, a body, a file and standard input', () => {
  const one = slipway('predict', 'churn', '--json', '{"inputs": {"X": [[1, 2, 3]]}}');
  expect({ code: one.code, stderr: one.stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(one.stdout)).toMatchObject({ Y: [2, 3, 4] });
  const document = slipway('predict', 'churn@1', '--json', '{"inputs": {"X": [[1, 2, 3]]}}', '--json');
  expect(JSON.parse(document.stdout)).toMatchObject({ schema: 'slipway.cli/1', kind: 'predict', data: { version: 1 } });
});

test('a model with a decoder is checked with a picture, and predict sends pictures and Arrow streams as they are', () => {
  const pictures = join(MODELS, '../images');
  const golden = (
    JSON.parse(readFileSync(join(pictures, 'reference.json'), 'utf8')) as { file: string; elements: number[] }[]
  ).find((one) => one.file === 'rgb.png')!;
  const mean = [0, 1, 2].map(
    (c) => golden.elements.slice(c * 384, (c + 1) * 384).reduce((sum, one) => sum + one, 0) / 384,
  );
  const model = join(folder, 'pictures');
  mkdirSync(model);
  copyFileSync(join(MODELS, 'image-mean.onnx'), join(model, 'model.onnx'));
  const about = (brightness: number) => `signature:
  inputs:
    image: { decoder: { kind: image, width: 24, height: 16, scale: 1/255 } }
golden:
  - inputs: { records: [{ image: { b64: ${readFileSync(join(pictures, 'rgb.png')).toString('base64')} } }] }
    outputs: { mean: [[${mean.map((one) => (one / 255) * brightness).join(', ')}]] }
    tolerance: { absolute: 0.0001 }
`;
  writeFileSync(join(model, 'slipway.yaml'), about(2));
  const wrong = slipway('deploy', model, '--name', 'pictures');
  expect(wrong.code).not.toBe(0);
  expect(wrong.stdout + wrong.stderr).toContain('golden case 1 is answered differently');
  writeFileSync(join(model, 'slipway.yaml'), about(1));
  expect(data<{ outcome: string }>('deploy', model, '--name', 'pictures').outcome).toBe('served');
  expect(slipway('versions', 'show', 'pictures@latest').stdout).toContain('takes images: 24 × 16 rgb, NCHW');
  const photo = slipway('predict', 'pictures', '--file', join(pictures, 'rgb.jpg'));
  expect({ code: photo.code, stderr: photo.stderr }).toEqual({ code: 0, stderr: '' });
  expect((JSON.parse(photo.stdout) as { mean: number[] }).mean[0]).toBeCloseTo(mean[0]! / 255, 1);
  const wrongFile = slipway('predict', 'pictures', '--file', join(pictures, 'reference.json'), '--format', 'image');
  expect(wrongFile.code).toBe(6);
  expect(wrongFile.stderr).toContain('no picture of a kind that is taken');
  const rows = slipway('predict', 'churn', '--file', join(MODELS, '../arrow/fixed-list.arrow'));
  expect(
    rows.stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { Y: number[] }).Y),
  ).toEqual([
    [2, 3, 4],
    [5, 6, 7],
  ]);
});

test('a table of mixed columns is read by the signature, and all faults are named with their lines', () => {
  const deployed = data<{ outcome: string }>('deploy', join(MODELS, 'mixed.onnx'), '--name', 'mixed');
  expect(deployed.outcome).toBe('served');
  writeFileSync(
    join(folder, 'rows.csv'),
    `age,plan\n${Array.from({ length: 600 }, (_, n) => `${n},pro`).join('\n')}\n`,
  );
  const run = slipway('predict', 'mixed', '--file', 'rows.csv');
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 0, stderr: '' });
  const answers = run.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { score: number });
  expect(answers).toHaveLength(600);
  expect(new Set(answers.map((answer) => answer.score)).size).toBe(600);
  const csv = slipway('predict', 'mixed', '--file', 'rows.csv', '-o', 'csv').stdout.split('\n');
  expect(csv[0]).toBe('id,score');
  const table = slipway('predict', 'mixed', '--json', '{"age": 41, "plan": "pro"}', '-o', 'table');
  expect(table.stdout).toMatch(/^ *SCORE\n *\d+(\.\d+)?\n$/);
  writeFileSync(join(folder, 'bad.csv'), 'age,plan\nold,pro\n1,pro\n?,free\n');
  const bad = slipway('predict', 'mixed', '--file', 'bad.csv');
  expect({ code: bad.code, stdout: bad.stdout }).toEqual({ code: 6, stdout: '' });
  expect(bad.stderr).toContain('line 2, age');
  expect(bad.stderr).toContain('line 4, age');
});

test('the same command again is version 2, and says how to undo it', () => {
  const run = slipway('deploy', join(MODELS, 'add-two.onnx'), '--name', 'churn');
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('version 1 → 2');
  const undo = /slipway (endpoints update churn --version 1)/.exec(run.stdout)![1]!;
  expect(slipway(...undo.split(' '))).toMatchObject({ code: 0 });
  expect(data<{ targetVersion: number }>('endpoints', 'show', 'churn').targetVersion).toBe(1);
  expect(slipway('endpoints', 'update', 'churn', '--version', '1').stdout).toContain('No changes');
});

test('a version that would break callers is refused with the reason, and served when insisted on', () => {
  const path = join(MODELS, 'add-breaking.onnx');
  const refused = slipway('deploy', path, '--name', 'churn');
  expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 4, stdout: '' });
  expect(refused.stderr).toContain('breaking');
  expect(refused.stderr).toContain('--allow-breaking');
  expect(refused.stderr).toContain('(code signature_breaking');
  expect(data<{ targetVersion: number }>('endpoints', 'show', 'churn').targetVersion).toBe(1);
  const insisted = slipway('deploy', path, '--name', 'churn', '--allow-breaking');
  expect(insisted.code).toBe(0);
  expect(insisted.stdout).toContain('endpoints update churn --version 1 --allow-breaking ');
});

test('a file that is no model is exit code 6, with the reason and the fix', () => {
  for (const file of ['text.onnx', 'truncated.onnx', 'number.pkl']) {
    const run = slipway('deploy', join(MODELS, file), '--name', 'broken');
    expect({ file, code: run.code, stdout: run.stdout }).toEqual({ file, code: 6, stdout: '' });
    expect(run.stderr).toMatch(/Fix: /);
    expect(run.stderr).not.toContain(folder);
  }
});

test('what does not exist is exit code 3', () => {
  for (const args of [
    ['models', 'show', 'absent'],
    ['versions', 'show', 'churn@99'],
    ['endpoints', 'show', 'absent'],
    ['why', 'absent'],
    ['predict', 'absent', '--json', '{"a":1}'],
    ['models', 'list', '--project', 'absent'],
  ]) {
    expect({ args, code: slipway(...args).code }).toEqual({ args, code: 3 });
  }
});

test('aliases move with history, who and why', () => {
  data('aliases', 'set', 'churn', 'champion', '1', '--reason', 'the first');
  const moved = slipway('aliases', 'set', 'churn', 'champion', '2', '--reason', 'better recall');
  expect(moved.stdout).toContain('churn@champion: version 1 → 2');
  expect(moved.stdout).toContain('Undo: slipway aliases set churn champion 1');
  expect(data<{ name: string; version: number }[]>('aliases', 'list', 'churn')).toMatchObject([
    { name: 'champion', version: 2 },
  ]);
  const history = data<{ from: number | null; to: number; reason: string; actor: string }[]>(
    'aliases',
    'history',
    'churn',
    'champion',
  );
  expect(history.map((change) => [change.from, change.to, change.reason]).sort()).toEqual(
    [
      [1, 2, 'better recall'],
      [null, 1, 'the first'],
    ].sort(),
  );
  expect(history.every((change) => change.actor.startsWith('key:'))).toBe(true);
  expect(slipway('aliases', 'delete', 'churn', 'champion').stdout).toContain(
    'Undo: slipway aliases set churn champion 2',
  );
});

test('--dry-run shows what would happen and changes nothing', () => {
  const models = () => data<unknown[]>('models', 'list').length;
  const before = models();
  expect(slipway('deploy', join(MODELS, 'add.onnx'), '--name', 'another', '--dry-run')).toMatchObject({ code: 0 });
  expect(slipway('projects', 'create', 'tried', '--dry-run')).toMatchObject({ code: 0 });
  expect(slipway('endpoints', 'delete', 'churn', '--dry-run')).toMatchObject({ code: 0 });
  expect(slipway('models', 'delete', 'mixed', '--dry-run').code).toBe(4); // an endpoint serves it
  expect(models()).toBe(before);
  expect(data<{ name: string }[]>('projects', 'list').map((project) => project.name)).toEqual(['default']);
  expect(data<{ name: string }>('endpoints', 'show', 'churn').name).toBe('churn');
});

test('severe deletes need the name again, and never ask where nobody can answer', () => {
  data('endpoints', 'create', 'spare', '--model', 'churn', '--version', '1', '--environment', 'staging');
  const asked = slipway('endpoints', 'delete', 'spare');
  expect({ code: asked.code, stdout: asked.stdout }).toEqual({ code: 2, stdout: '' });
  expect(asked.stderr).toContain('--confirm=spare');
  expect(slipway('endpoints', 'delete', 'spare', '--confirm=churn').code).toBe(2);
  const done = slipway('endpoints', 'delete', 'spare', '--confirm=spare');
  expect(done.stdout).toContain('Undo: slipway endpoints create spare --model churn --version 1 --environment staging');
  expect(slipway('endpoints', 'show', 'spare').code).toBe(3);
  expect(slipway('models', 'delete', 'churn', '--confirm=churn').code).toBe(4);
});

test('status, why, doctor, logs, audit and lists tell the same story', () => {
  const status = slipway('status');
  expect(status.stdout).toMatch(/healthy: 3 of 3 endpoints ready/);
  expect(slipway('why', 'churn')).toMatchObject({ code: 0 });
  const doctor = data<{ checks: { name: string; outcome: string; detail: string }[] }>('doctor');
  expect(doctor.checks.length).toBeGreaterThanOrEqual(20);
  expect(doctor.checks.filter((check) => check.outcome === 'fail')).toEqual([]);
  const logs = slipway('logs', '-n', '50', '--json').stdout.trim().split('\n');
  expect(logs.length).toBeGreaterThan(1);
  for (const line of logs) expect(JSON.parse(line)).toHaveProperty('level');
  expect(data<{ intact: boolean; records: number }>('audit', 'verify')).toMatchObject({ intact: true });
  expect(data<unknown[]>('audit', 'list', '--limit', '5')).toHaveLength(5);
  expect(slipway('versions', 'list', 'churn').stdout).toMatch(/VERSION +STATUS/);
  expect(slipway('versions', 'show', 'churn@1').stdout).toContain('trained by ada');
  expect(slipway('versions', 'diff', 'churn@2', '1')).toMatchObject({ code: 0 });
});

test('a key with few rights can do little, is rotated, and ends when revoked', () => {
  const run = slipway('keys', 'create', 'shop', '--scope', 'predict:churn', '--expires', '90d', '--out', 'shop.key');
  expect(run.code).toBe(0);
  expect(statSync(join(folder, 'shop.key')).mode & 0o777).toBe(0o600);
  const key = data<{ id: string; name: string }[]>('keys', 'list').find((one) => one.name === 'shop')!;
  const refused = slipway('models', 'list', '--key-file', 'shop.key');
  expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 5, stdout: '' });
  // A pipeline's key may deploy but not predict: everything but the trial call happens.
  slipway('keys', 'create', 'ci', '--scope', 'deploy', '--out', 'ci.key');
  const byPipeline = slipway('deploy', join(MODELS, 'add.onnx'), '--name', 'mixed-ci', '--key-file', 'ci.key');
  expect(byPipeline.code).toBe(0);
  expect(byPipeline.stdout).toContain('The trial call was skipped');
  expect(slipway('endpoints', 'delete', 'mixed-ci', '--confirm=mixed-ci').code).toBe(0);
  const limited = ['keys', 'update', key.id, '--rate', '600/m', '--burst', '20', '--concurrency', '4', '--weight', '2'];
  expect(data<{ limits: unknown }>(...limited).limits).toEqual({ rate: 10, burst: 20, concurrency: 4, weight: 2 });
  expect(slipway('keys', 'list').stdout).toContain('10/s +20, 4 at once, weight 2');
  expect(data<{ limits: unknown }>('keys', 'update', key.id, '--rate', 'none').limits).toMatchObject({
    rate: null,
    burst: null,
    concurrency: 4,
  });
  expect(slipway('keys', 'update', key.id, '--rate', '10').code).toBe(2);
  expect(slipway('keys', 'update', key.id).code).toBe(2);
  const rotated = data<{ id: string; key: string }>('keys', 'rotate', key.id);
  expect(rotated.key).toMatch(/^slipway_live_/);
  expect(slipway('keys', 'revoke', key.id).code).toBe(0);
  expect(slipway('status', '--key-file', 'shop.key').code).toBe(5);
});

test('a project has things of its own', () => {
  expect(slipway('projects', 'create', 'fraud').code).toBe(0);
  const deployed = data<{ outcome: string }>(
    'deploy',
    join(MODELS, 'add.onnx'),
    '--name',
    'churn',
    '--project',
    'fraud',
  );
  expect(deployed.outcome).toBe('served');
  const answer = slipway('predict', 'churn', '--json', '{"inputs": {"X": [[1, 2, 3]]}}', '--project', 'fraud');
  expect(JSON.parse(answer.stdout)).toMatchObject({ Y: [2, 3, 4] });
  expect(data<unknown[]>('models', 'list', '--project', 'fraud')).toHaveLength(1);
  expect(slipway('projects', 'delete', 'fraud', '--confirm=fraud').code).toBe(4);
});

test('a second server on the same data folder is refused with exit code 4, and the first goes on', async () => {
  const run = slipway('serve', '--data', dataDir, '--http-port', '0', '--grpc-port', '0', '--control-port', '0');
  expect(run.code).toBe(4);
  expect(run.stderr).toContain('(code data_locked)');
  expect(slipway('status').code).toBe(0);
});

test('a killed control process comes back at the same address while predictions go on', async () => {
  const { sampleRequest } = data<{ sampleRequest: unknown }>('versions', 'show', 'churn@latest');
  const children = spawnSync('pgrep', ['-P', String(server.process.pid), '-f', 'control'], { encoding: 'utf8' });
  const pids = children.stdout.trim().split('\n');
  expect(pids).toHaveLength(1);
  process.kill(Number(pids[0]), 'SIGKILL');
  const answer = await fetch(`${server.ready.inferenceUrl}/endpoints/churn/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(sampleRequest),
  });
  expect(answer.status).toBe(200);
  const end = performance.now() + 20_000;
  while (slipway('status').code !== 0) expect(performance.now()).toBeLessThan(end);
  expect(data<{ url: string }>('status')).toMatchObject({ server: { counts: { endpoints: 4 } } });
  expect(slipway('logs', '-n', '100', '--process', 'serve').stdout).toContain('control ended (SIGKILL)');
});

test('it stops cleanly on a signal and starts again within 3 s with everything it had', async () => {
  const before = data<{ name: string }[]>('models', 'list').map((model) => model.name);
  server.process.kill('SIGINT');
  expect(await server.ended).toBe(0);
  expect(existsSync(join(dataDir, 'run/server.json'))).toBe(false);
  expect(slipway('status').code).not.toBe(0);
  expect(slipway('logs', '-n', '5').stderr).toContain('the server does not answer');
  server = await serve();
  expect(server.ready).toMatchObject({ adminKey: null, sample: null });
  expect(server.ready.readyMs).toBeLessThan(10_000);
  expect(data<{ name: string }[]>('models', 'list').map((model) => model.name)).toEqual(before);
  expect(readFileSync(join(dataDir, 'admin.key'), 'utf8')).toMatch(/^slipway_live_/);
});
