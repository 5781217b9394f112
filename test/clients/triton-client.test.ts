/** NVIDIA's Python client, unchanged, against the whole server. Optional: `npm run test:clients`. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { MODELS, type RunningServer, startServer } from '../scenarios/running-server.ts';

const HERE = import.meta.dirname;
const VENV = join(HERE, '.venv');
const REQUIREMENTS = join(HERE, 'requirements.txt');
const run = promisify(execFile);

const TYPES = ['bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'fp32', 'fp64'];
const hasPython = spawnSync('python3', ['-c', 'import venv']).status === 0;

/** Made once; again when the requirements change. */
async function makeEnvironment(): Promise<void> {
  const stamp = join(VENV, 'requirements.txt');
  const wanted = readFileSync(REQUIREMENTS, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  await run('python3', ['-m', 'venv', VENV]);
  await run(join(VENV, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', '-r', REQUIREMENTS]);
  writeFileSync(stamp, wanted);
}

describe.skipIf(!hasPython)('tritonclient[http]', () => {
  let server: RunningServer;
  let seen: Map<string, unknown>;
  const saw = (check: string): unknown => {
    expect([...seen.keys()], 'the client stopped before this check').toContain(check);
    return seen.get(check);
  };

  beforeAll(async () => {
    await makeEnvironment();
    server = await startServer();
    for (const name of ['mixed', 'strings', ...TYPES]) {
      const files = [await fileSource(join(MODELS, `${name}.onnx`), 'model.onnx')];
      expect((await server.client.deploy({ model: name, files })).outcome, name).toBe('served');
    }
    const address = new URL(server.inferenceUrl).host;
    const { stdout } = await run(join(VENV, 'bin/python'), [join(HERE, 'triton_client.py'), address]).catch(
      (error: { stdout: string; stderr: string }) => {
        console.error(error.stderr);
        return error;
      },
    );
    const lines = stdout.trim().split('\n').filter(Boolean);
    seen = new Map(
      lines.map((line) => JSON.parse(line) as { check: string; saw: unknown }).map((one) => [one.check, one.saw]),
    );
    if (process.env['SHOW'] === '1') for (const line of lines) console.log(line);
  });
  afterAll(() => server?.dispose());

  test('sees a live and ready server, and which models and versions are ready', () => {
    expect(saw('health')).toEqual({ live: true, ready: true });
    expect(saw('model ready')).toEqual([true, true, false, false]);
  });

  test('reads the metadata of server and model', () => {
    expect(saw('server metadata')).toMatchObject({ name: 'slipway', extensions: expect.any(Array) });
    expect(saw('model metadata')).toMatchObject({
      name: 'mixed',
      versions: ['1'],
      inputs: [{ name: 'age' }, { name: 'plan' }],
    });
  });

  test('is answered with its request id, the model and the version', () => {
    expect(saw('mixed')).toMatchObject({
      score: [[30.75], [9.25]],
      response: { id: 'mine', model_name: 'mixed', model_version: '1' },
    });
    expect(saw('version')).toBe('1');
  });

  test.each(TYPES)('carries a tensor of %s there and back unchanged', (name) => {
    expect(saw(`type ${name}`)).toMatchObject({ equal: true });
  });

  test('carries text there and back unchanged', () => {
    expect(saw('type strings')).toEqual({ equal: true });
  });

  test('may call without waiting, and with compressed bodies', () => {
    for (const check of ['async', 'compressed gzip', 'compressed deflate'])
      expect(saw(check), check).toEqual([[30.75], [9.25]]);
  });

  test.each([
    ['error datatype', '400', 'INT32'],
    ['error missing input', '400', 'plan'],
    ['error unknown model', '404', 'nothing'],
    ['error unknown version', '404', '99'],
    ['error unknown output', '400', 'scores'],
    ['error metadata', '404', 'nothing'],
  ])('%s: raises its own exception with our status and message', (check, status, word) => {
    const { status: given, message } = saw(check) as { status: string; message: string };
    expect(given).toBe(status);
    expect(message).toContain(word);
  });

  test.each(['binary input', 'binary output'])('%s: is told plainly that binary tensors are not supported', (check) => {
    const { status, message } = saw(check) as { status: string; message: string };
    expect(status).toBe('400');
    expect(message).toMatch(/binary/i);
  });
});
