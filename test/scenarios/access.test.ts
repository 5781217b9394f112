/** Who may do what, on the whole product: keys, scopes, projects, rotation, revocation, public addresses. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClient } from '../../sdk/src/client.ts';
import { fileSource } from '../../sdk/src/node.ts';
import { eventually, MODELS, ROOT, type RunningServer, startServer } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    sample: true,
    env: { SLIPWAY_INFERENCE_AUTH: 'required', SLIPWAY_INFERENCE_AUHT: 'off' },
  });
  await server.client.deploy({ model: 'adder', files: [await fileSource(join(MODELS, 'add.onnx'), 'model.onnx')] });
});
afterAll(() => server?.dispose());

const row = { inputs: { X: [[1, 2, 3]] } };
const as = (apiKey: string, project?: string) =>
  createClient({
    url: server.url,
    apiKey,
    inferenceUrl: server.inferenceUrl,
    retries: 0,
    ...(project ? { project } : {}),
  });

test('a mistyped variable is told at the start, on the terminal and in the log', () => {
  const warning = /SLIPWAY_INFERENCE_AUHT is no setting and is ignored; did you mean SLIPWAY_INFERENCE_AUTH\?/;
  expect(server.output()).toMatch(warning);
  expect(readFileSync(join(server.dataDir, 'logs/slipway.log'), 'utf8')).toMatch(warning);
});

describe('keys', () => {
  test('the admin key is kept for its owner only, and the database holds no usable key', () => {
    expect(statSync(join(server.dataDir, 'admin.key')).mode & 0o777).toBe(0o600);
    expect(statSync(server.dataDir).mode & 0o777).toBe(0o700);
    const secret = server.adminKey.split('_')[3] ?? '';
    expect(secret.length).toBeGreaterThanOrEqual(40);
    for (const file of ['slipway.db', 'slipway.db-wal', 'logs/slipway.log', 'run/desired-state.json']) {
      const bytes = readFileSync(join(server.dataDir, file), 'latin1');
      expect(bytes.includes(secret), file).toBe(false);
    }
  });

  test('none, a wrong one and an altered one are refused on both listeners', async () => {
    const altered = `${server.adminKey.slice(0, -1)}${server.adminKey.endsWith('0') ? '1' : '0'}`;
    for (const key of ['', 'slipway_live_x_y_00000000', altered]) {
      const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
      expect((await fetch(`${server.url}/api/v1/models`, { headers })).status).toBe(401);
      const body = JSON.stringify(row);
      const predicted = await fetch(`${server.inferenceUrl}/endpoints/adder/predict`, {
        method: 'POST',
        headers,
        body,
      });
      expect(predicted.status).toBe(401);
    }
  });

  test('X-API-Key carries one to both listeners', async () => {
    const headers = { 'x-api-key': server.adminKey };
    for (const url of [`${server.url}/api/v1/models`, `${server.inferenceUrl}/endpoints/adder`])
      expect((await fetch(url, { headers })).status).toBe(200);
  });

  test('the lines that are printed for pasting carry one', () => {
    const paste = (said: string, env: Record<string, string> = {}): string => {
      const line = /curl (?:.*\\\n)*.*/.exec(said)?.[0] ?? '';
      return spawnSync('sh', ['-c', line], { encoding: 'utf8', env: { PATH: process.env['PATH'], ...env } }).stdout;
    };
    expect(paste(server.output())).toContain('"endpoint":"credit-risk"');
    const deployed = spawnSync(join(ROOT, 'bin/slipway'), ['deploy', join(MODELS, 'add.onnx'), '--name', 'pasted'], {
      env: { PATH: process.env['PATH'], SLIPWAY_DATA: server.dataDir },
      encoding: 'utf8',
    });
    expect(paste(deployed.stdout, { SLIPWAY_API_KEY: server.adminKey })).toContain('"endpoint":"pasted"');
  });

  test('a project whose model was deleted goes with its files, and its revoked key is told as revoked', async () => {
    await server.client.projects.create('shortlived');
    const there = as(server.adminKey, 'shortlived');
    await there.deploy({ model: 'adder', files: [await fileSource(join(MODELS, 'add.onnx'), 'model.onnx')] });
    const bound = await server.client.keys.create({ name: 'bound', scopes: ['read'], project: 'shortlived' });
    await expect(as(bound.key).models.show('adder')).rejects.toMatchObject({
      code: 'project_not_found',
      hint: expect.stringContaining('--project shortlived'),
    });
    await expect(server.client.projects.remove('shortlived')).rejects.toMatchObject({
      code: 'in_use',
      message: expect.stringContaining('1 endpoints, 1 models, 1 live keys'),
    });
    await there.endpoints.remove('adder');
    await there.models.remove('adder');
    await server.client.keys.revoke(bound.id);
    await expect(server.client.keys.revoke(bound.id)).rejects.toMatchObject({ status: 409, code: 'key_revoked' });
    const folders = (): number => readdirSync(join(server.dataDir, 'artifacts')).length;
    expect(folders()).toBe(2);
    await server.client.projects.remove('shortlived');
    expect((await server.client.collectArtifacts({})).blobs).toBe(1);
    expect(folders()).toBe(1);
    expect((await as(server.adminKey).predict('adder', row)).version).toBe(1);
  });

  test('a scope is bound to its verb and its model', async () => {
    const { key } = await server.client.keys.create({ name: 'caller', scopes: ['predict:adder'] });
    await eventually('the new key predicts', async () => (await as(key).predict('adder', row)).version === 1);
    await expect(as(key).models.show('adder')).rejects.toMatchObject({ status: 403, code: 'not_permitted' });
    await expect(as(key).aliases.set('adder', 'champion', 1)).rejects.toMatchObject({ status: 403 });
    const reader = await server.client.keys.create({ name: 'reader', scopes: ['read:another'] });
    expect((await as(reader.key).models.list({}).page()).items).toEqual([]);
    expect((await as(reader.key).endpoints.list({}).page()).items).toEqual([]);
    const other = await server.client.keys.create({ name: 'other', scopes: ['predict:another'] });
    await eventually('the key is known to the gateway and refused', async () => {
      const error = await as(other.key)
        .predict('adder', row)
        .catch((thrown: { status: number }) => thrown);
      return (error as { status: number }).status === 403;
    });
  });

  test('rotation keeps two live keys; revocation takes effect within 5 s on both listeners', async () => {
    const made = await server.client.keys.create({ name: 'rotated', scopes: ['read', 'predict'] });
    const next = await server.client.keys.rotate(made.id);
    await eventually('both predict', async () => {
      await as(made.key).predict('adder', row);
      return as(next.key).predict('adder', row);
    });
    await server.client.keys.revoke(made.id);
    const from = Date.now();
    await eventually(
      'the old one is refused',
      async () => {
        const predicted = await as(made.key)
          .predict('adder', row)
          .catch((thrown: { status: number }) => thrown);
        const read = await as(made.key)
          .models.show('adder')
          .catch((thrown: { status: number }) => thrown);
        return (predicted as { status: number }).status === 401 && (read as { status: number }).status === 401;
      },
      5000,
    );
    expect(Date.now() - from).toBeLessThan(5000);
    expect((await as(next.key).predict('adder', row)).version).toBe(1);
  });

  test('an expired key is refused', async () => {
    const made = await server.client.keys.create({
      name: 'short',
      scopes: ['read'],
      expiresAt: new Date(Date.now() + 1500).toISOString(),
    });
    expect((await as(made.key).models.show('adder')).name).toBe('adder');
    await eventually(
      'it has expired',
      async () => {
        const read = await as(made.key)
          .models.show('adder')
          .catch((thrown: { status: number }) => thrown);
        return (read as { status: number }).status === 401;
      },
      5000,
    );
  });
});

describe('projects', () => {
  test('hold their own names, and their endpoints are served under /p/', async () => {
    await server.client.projects.create('risk');
    const risk = createClient({
      url: server.url,
      apiKey: server.adminKey,
      inferenceUrl: server.inferenceUrl,
      project: 'risk',
    });
    await risk.deploy({ model: 'adder', files: [await fileSource(join(MODELS, 'mixed.onnx'), 'model.onnx')] });
    const mine = await risk.predict('adder', { records: [{ age: 30, plan: 'pro' }] });
    expect(mine.predictions[0]).toHaveProperty('score');
    expect((await server.client.predict('adder', row)).predictions[0]).toHaveProperty('Y');
    expect(
      (
        await fetch(`${server.inferenceUrl}/p/risk/v2/models/adder/ready`, {
          headers: { authorization: `Bearer ${server.adminKey}` },
        })
      ).status,
    ).toBe(200);
  });

  test('a key of one project finds nothing of another: its things answer like absent ones', async () => {
    const { key } = await server.client.keys.create({ name: 'of-risk', scopes: ['admin'], project: 'risk' });
    const headers = { authorization: `Bearer ${key}` };
    const look = async (url: string) => {
      const response = await fetch(url, { headers });
      const text = (await response.text()).replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>');
      return { status: response.status, text };
    };
    for (const [foreign, absent] of [
      ['/api/v1/projects/default/models/adder', '/api/v1/projects/nowhere/models/adder'],
      ['/api/v1/projects/default/endpoints/adder', '/api/v1/projects/nowhere/endpoints/adder'],
    ] as const) {
      const [a, b] = [await look(server.url + foreign), await look(server.url + absent)];
      expect(a.status).toBe(404);
      expect(a.text.replaceAll('default', '<project>')).toBe(b.text.replaceAll('nowhere', '<project>'));
    }
    await eventually(
      'the gateway knows the key',
      async () => (await look(`${server.inferenceUrl}/p/risk/endpoints/adder`)).status === 200,
    );
    const [a, b] = [
      await look(`${server.inferenceUrl}/endpoints/adder`),
      await look(`${server.inferenceUrl}/endpoints/absent`),
    ];
    expect(a.status).toBe(404);
    expect(a.text.replaceAll('adder', '<name>')).toBe(b.text.replaceAll('absent', '<name>'));
  });
});

describe('addresses', () => {
  test('both listeners are on loopback only', () => {
    for (const url of [server.url, server.inferenceUrl]) expect(new URL(url).hostname).toBe('127.0.0.1');
  });

  test('a public address without required authentication refuses to start, with what to do', () => {
    const run = spawnSync(
      join(ROOT, 'bin/slipway'),
      ['serve', '--no-sample', '--host', '0.0.0.0', '--http-port', '0', '--grpc-port', '0', '--control-port', '0'],
      {
        cwd: ROOT,
        env: { PATH: process.env['PATH'], SLIPWAY_DATA: join(server.dataDir, 'elsewhere') },
        timeout: 20_000,
        encoding: 'utf8',
      },
    );
    expect(run.status).not.toBe(0);
    expect(run.stderr).toContain('SLIPWAY_INFERENCE_AUTH=required');
  });

  test('of a server on all of them are the one of this machine, and to others the one that they used', async () => {
    const open = await startServer({ env: { SLIPWAY_HOST: '0.0.0.0', SLIPWAY_INFERENCE_AUTH: 'required' } });
    try {
      for (const url of [open.url, open.inferenceUrl]) expect(new URL(url).hostname).toBe('127.0.0.1');
      expect((await open.client.status()).inferenceUrl).toBe(open.inferenceUrl);
      const headers = { authorization: `Bearer ${open.adminKey}`, host: '10.1.2.3:8082' };
      const status = await new Promise<string>((done, reject) => {
        request(`${open.url}/api/v1/status`, { headers }, async (response) => done(await text(response)))
          .on('error', reject)
          .end();
      });
      expect(JSON.parse(status)).toMatchObject({ inferenceUrl: open.inferenceUrl.replace('127.0.0.1', '10.1.2.3') });
    } finally {
      await open.dispose();
    }
  });

  test('a web page cannot drive a local server: foreign Host and Origin are refused with any method', async () => {
    const call = (url: string, method: string, headers: Record<string, string>) =>
      new Promise<number>((done, reject) => {
        const sent = request(
          url,
          { method, headers: { authorization: `Bearer ${server.adminKey}`, ...headers } },
          (response) => {
            response.resume();
            done(response.statusCode ?? 0);
          },
        );
        sent.on('error', reject);
        sent.end();
      });
    for (const url of [`${server.url}/api/v1/models`, `${server.inferenceUrl}/endpoints/adder`]) {
      expect(await call(url, 'GET', {})).toBe(200);
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        expect(await call(url, method, { host: 'evil.example:8080' }), `${method} Host`).toBe(403);
        expect(await call(url, method, { origin: 'https://evil.example' }), `${method} Origin`).toBe(403);
        expect(await call(url, method, { origin: 'null' }), `${method} Origin null`).toBe(403);
      }
    }
  });
});
