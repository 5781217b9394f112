/** Bad model files, models that misbehave, and faults of the machine: a clear error each time, nothing lost, the others go on. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SlipwayApiError } from '../../sdk/src/client.ts';
import { fileSource } from '../../sdk/src/node.ts';
import { eventually, kill, MODELS, ROOT, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    env: { SLIPWAY_LOAD_TIMEOUT: '5s', SLIPWAY_RUN_TIMEOUT: '2s', SLIPWAY_RUNNER_MEMORY: '700MiB' },
  });
  await server.client.deploy({ model: 'bystander', files: await model('add.onnx') });
});
afterAll(() => server?.dispose());

const model = async (file: string, as = 'model.onnx') => [await fileSource(join(MODELS, file), as)];
const bystander = async () => (await server.client.predict('bystander', { inputs: { X: [[1, 2, 3]] } })).predictions[0];

/** What no answer may show: paths of this machine, process ids, stacks, source lines of native code. */
function assertSaysNothingInternal(text: string): void {
  expect(text).not.toContain(server.dataDir);
  expect(text).not.toContain(ROOT);
  expect(text).not.toMatch(/\bat .+\(.+:\d+:\d+\)|node_modules|\.cc:\d+|\.h:\d+|\bpid\b|\/(tmp|root|home|usr)\//i);
}

async function refused(name: string, files: Awaited<ReturnType<typeof model>>): Promise<string> {
  let said: string;
  try {
    const deployed = await server.client.deploy({ model: name, files });
    expect(deployed.outcome).toBe('rejected');
    const { validation, statusReason } = deployed.version!;
    said = `${statusReason} ${JSON.stringify(validation)}`;
    expect(validation?.outcome).toBe('failed');
    await expect(server.client.endpoints.show(name)).rejects.toMatchObject({ status: 404 });
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayApiError);
    const { status, message, hint } = error as SlipwayApiError;
    expect([400, 404, 409, 413, 422]).toContain(status);
    expect(hint ?? '').not.toBe('');
    said = `${message} ${hint}`;
  }
  assertSaysNothingInternal(said);
  expect(await bystander()).toMatchObject({ Y: [2, 3, 4] });
  return said;
}

describe('files that are no model, or not one that can be served', () => {
  test.each([
    ['empty', 'empty.onnx', /empty/i],
    ['truncated', 'truncated.onnx', /truncated|ends|cut|short/i],
    ['text', 'text.onnx', /not an? ONNX|ONNX/i],
    ['unknown-op', 'unknown-op.onnx', /operator|NoSuchOp|unknown/i],
    ['future-opset', 'future-opset.onnx', /opset/i],
  ])('%s is refused with the reason', async (name, file, reason) => {
    expect(await refused(`bad-${name}`, await model(file))).toMatch(reason);
  });

  test.each(['model.pkl', 'model.joblib', 'model.pt', 'model.h5', 'script.py'])(
    '%s is refused as code, with what to do',
    async (file) => {
      const folder = mkdtempSync(join(tmpdir(), 'slipway-code-'));
      try {
        writeFileSync(join(folder, file), "cos\nsystem\n(S'true'\ntR.");
        const said = await refused('bad-code', [await fileSource(join(folder, file), file)]);
        expect(said).toMatch(/code|ONNX/);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );

  test('external data outside of the artifact is refused by name', async () => {
    for (const folder of ['external-missing', 'external-absolute', 'external-dotdot']) {
      expect(await refused('bad-external', await model(`${folder}/model.onnx`))).toMatch(/external|outside|weights/i);
    }
  });
});

describe('models that misbehave', () => {
  test('one that loops for ever at a run does not pass validation', async () => {
    expect(await refused('loops', await model('loop-run.onnx'))).toMatch(/2 s|longer|time/i);
  });

  test('one that spins at load is killed at the limit, and the last step is named', async () => {
    expect(await refused('spins', await model('loop-load.onnx'))).toMatch(/load/i);
  });

  test('one that asks for more memory than allowed is stopped', async () => {
    expect(await refused('hungry', await model('huge-alloc.onnx'))).toMatch(/memory|alloc/i);
  });

  test('rows that fail, fail alone', async () => {
    await server.client.deploy({ model: 'poison', files: await model('poison.onnx') });
    const shown = await server.client.versions.show('poison', 1);
    const input = shown.signature.inputs[0]!.name;
    const send = (value: number) =>
      fetch(`${server.inferenceUrl}/v2/models/poison/infer`, {
        method: 'POST',
        body: JSON.stringify({ inputs: [{ name: input, shape: [1], datatype: 'INT64', data: [value] }] }),
      });
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => send(i === 17 ? 1_000_000 : 0)));
    const statuses = answers.map((answer) => answer.status);
    expect(statuses[17]).toBeGreaterThanOrEqual(400);
    expect(statuses.filter((status, i) => i !== 17 && status !== 200)).toEqual([]);
    assertSaysNothingInternal(await answers[17]!.text());
  });
});

describe('processes that are killed', () => {
  test('a killed runner is back within a second, others serve meanwhile', async () => {
    await server.client.deploy({ model: 'victim', files: await model('add.onnx') });
    const runners = server.pids('runner').length;
    for (const pid of server.pids('runner').slice(-1)) kill(pid);
    const from = Date.now();
    await eventually('all runners are back', () => server.pids('runner').length === runners, 5000);
    await untilReady(server, 'victim');
    await untilReady(server, 'bystander');
    expect(Date.now() - from).toBeLessThan(5000);
  });

  test('with control dead, predictions go on, and a killed gateway comes back and serves from its file', async () => {
    const serve = server.pids('serve')[0]!;
    for (const pid of server.pids('control')) kill(pid, 'SIGSTOP'); // dead to the world, and not restarted
    try {
      expect(await bystander()).toMatchObject({ Y: [2, 3, 4] });
      for (const pid of server.pids('gateway')) kill(pid);
      await eventually('the gateway serves again without control', bystander);
      expect(server.pids('serve')).toEqual([serve]);
    } finally {
      for (const pid of server.pids('control')) kill(pid, 'SIGCONT');
    }
    await untilReady(server, 'bystander');
  });

  test('killing the supervisor ends the whole tree, and the next start works at once', async () => {
    const other = await startServer();
    try {
      for (const pid of other.pids('serve')) kill(pid);
      const left = [...other.pids('gateway'), ...other.pids('control')];
      await eventually('nothing is left', () =>
        left.every((pid) => spawnSync('kill', ['-0', String(pid)]).status !== 0),
      );
      const again = await startServer({ dataDir: other.dataDir });
      expect((await again.client.status()).release).toBeTruthy();
      await again.stop();
    } finally {
      await other.dispose();
    }
  });
});

describe('starts that cannot be', () => {
  const serve = (env: Record<string, string>) =>
    new Promise<{ code: number | null; said: string }>((done) => {
      const child = spawn(join(ROOT, 'bin/slipway'), ['serve', '--no-sample'], {
        cwd: ROOT,
        env: {
          PATH: process.env['PATH'],
          SLIPWAY_HTTP_PORT: '0',
          SLIPWAY_GRPC_PORT: '0',
          SLIPWAY_CONTROL_PORT: '0',
          ...env,
        },
      });
      let said = '';
      child.stdout.on('data', (chunk) => (said += chunk));
      child.stderr.on('data', (chunk) => (said += chunk));
      child.on('close', (code) => done({ code, said }));
      setTimeout(() => child.kill('SIGKILL'), 25_000).unref();
    });

  test('a second server on the same data folder is refused, and the first goes on', async () => {
    const { code, said } = await serve({ SLIPWAY_DATA: server.dataDir });
    expect(code).toBe(4);
    expect(said).toMatch(/in use by another Slipway process/);
    expect(await bystander()).toMatchObject({ Y: [2, 3, 4] });
  });

  test.each(['SLIPWAY_HTTP_PORT', 'SLIPWAY_GRPC_PORT', 'SLIPWAY_CONTROL_PORT'])(
    'a taken port (%s) is named',
    async (setting) => {
      const taken = createServer();
      await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done));
      const { port } = taken.address() as { port: number };
      const dataDir = mkdtempSync(join(tmpdir(), 'slipway-taken-'));
      try {
        const { code, said } = await serve({ SLIPWAY_DATA: dataDir, [setting]: String(port) });
        expect(code).toBe(4);
        expect(said).toContain(String(port));
      } finally {
        taken.close();
        rmSync(dataDir, { recursive: true, force: true });
      }
    },
  );
});

test('no altered artifact byte is ever loaded', async () => {
  const other = await startServer();
  try {
    await other.client.deploy({ model: 'adder', files: await model('add.onnx') });
    await other.stop();
    const blobs = readdirSync(join(other.dataDir, 'artifacts'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(blobs.length).toBeGreaterThan(0);
    for (const blob of blobs) {
      const bytes = readFileSync(blob);
      bytes[bytes.length >> 1]! ^= 1;
      rmSync(blob);
      writeFileSync(blob, bytes);
    }
    const again = await startServer({ dataDir: other.dataDir });
    const why = await eventually('the reason is observed', async () => {
      const seen = await again.client.why('adder');
      return /alter|digest|corrupt/i.test(seen.reason) ? seen : null;
    });
    expect(why.ready).toBe(false);
    await expect(again.client.predict('adder', { inputs: { X: [[1, 2, 3]] } }, {})).rejects.toMatchObject({
      status: 503,
    });
    await again.stop();
  } finally {
    await other.dispose();
  }
});
