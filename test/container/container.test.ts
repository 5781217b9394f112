/**
 * The image, really built and run. Optional: `npm run test:container`.
 *
 *   CONTAINER_ENGINE   podman or docker; the first one found
 *   SLIPWAY_TEST_BASE  base image; the Dockerfile's default, which has to be pulled
 *   SLIPWAY_TEST_IMAGE an image that was built before; nothing is built then
 */
import { execFile, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const engine = [process.env['CONTAINER_ENGINE'], 'podman', 'docker'].find(
  (name) => name !== undefined && spawnSync(name, ['--version']).status === 0,
);
const run = promisify(execFile);
const id = `slipway-test-${randomUUID().slice(0, 8)}`;
const image = process.env['SLIPWAY_TEST_IMAGE'] ?? `localhost/${id}`;
const MAX_IMAGE_BYTES = 500e6;

type Failed = Error & { code: number; stdout: string; stderr: string };

async function containers(...args: string[]): Promise<string> {
  return (await run(engine!, args, { maxBuffer: 64 * 1024 * 1024 })).stdout.trim();
}

/** The host's network is used, since it is there in every engine; so the ports have to be free ones. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type Server = { name: string; inference: string; management: string };

async function start(volume: string, extra: string[] = []): Promise<Server> {
  const name = `${id}-${randomUUID().slice(0, 8)}`;
  const [http, control] = [await freePort(), await freePort()];
  const ports = [
    '-e',
    `SLIPWAY_HTTP_PORT=${http}`,
    '-e',
    'SLIPWAY_GRPC_PORT=0',
    '-e',
    `SLIPWAY_CONTROL_PORT=${control}`,
  ];
  const limits = ['--read-only', '--cap-drop=all', '--memory=1g', '--network=host'];
  await containers('run', '-d', '--name', name, ...limits, ...ports, '-v', `${volume}:/data`, ...extra, image);
  return { name, inference: `http://127.0.0.1:${http}`, management: `http://127.0.0.1:${control}` };
}

async function untilHealthy(server: Server): Promise<void> {
  for (let tries = 0; tries < 120; tries++) {
    if (await healthCheck(server)) return;
    await sleep(250);
  }
  throw new Error(`not healthy after 30 s:\n${await logsOf(server)}`);
}

/** The image's own check, run as the engine would run it. */
async function healthCheck(server: Server): Promise<boolean> {
  const inspected = await containers('image', 'inspect', image);
  const [{ Config, HealthCheck, Healthcheck }] = JSON.parse(inspected) as [
    {
      Config: { Healthcheck?: { Test: string[] } };
      HealthCheck?: { Test: string[] };
      Healthcheck?: { Test: string[] };
    },
  ];
  const [kind, ...command] = (Healthcheck ?? HealthCheck ?? Config.Healthcheck)!.Test;
  expect(kind).toBe('CMD');
  return containers('exec', server.name, ...command).then(
    () => true,
    () => false,
  );
}

async function logsOf(server: Server): Promise<string> {
  const { stdout, stderr } = await run(engine!, ['logs', server.name]);
  return stdout + stderr;
}

const slipway = (server: Server, ...args: string[]): Promise<string> =>
  containers('exec', server.name, 'slipway', ...args);

const RECORD = {
  records: [
    {
      checking_status: 'no checking',
      duration_months: 24,
      credit_history: 'existing paid',
      purpose: 'radio/tv',
      credit_amount: 4042,
      savings_status: '<100',
      employment_years: '4<=X<7',
      installment_rate: 3,
      other_parties: 'none',
      residence_years: 4,
      property: 'car',
      age: 43,
      other_payment_plans: 'none',
      housing: 'own',
      existing_credits: 2,
      job: 'skilled',
      dependents: 1,
      telephone: 'yes',
    },
  ],
};

async function predict(server: Server, key: string | null): Promise<{ status: number; body: { version?: number } }> {
  const response = await fetch(`${server.inference}/endpoints/credit-risk/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify(RECORD),
  });
  return { status: response.status, body: (await response.json()) as { version?: number } };
}

describe.skipIf(engine === undefined)('the container image', () => {
  const volume = `${id}-data`;
  let server: Server;
  let key: string;

  beforeAll(async () => {
    if (process.env['SLIPWAY_TEST_IMAGE'] === undefined) {
      const base = process.env['SLIPWAY_TEST_BASE'];
      const format = engine!.endsWith('podman') ? ['--format', 'docker', '--isolation', 'chroot'] : [];
      await containers('build', ...format, ...(base ? ['--build-arg', `BASE=${base}`] : []), '-t', image, ROOT);
    }
    await containers('volume', 'create', volume);
    server = await start(volume);
    await untilHealthy(server);
    key = await containers('exec', server.name, 'cat', '/data/admin.key');
  });

  afterAll(async () => {
    const names = (await containers('ps', '-a', '--format', '{{.Names}}')).split('\n');
    for (const name of names) if (name.startsWith(id)) await containers('rm', '-f', name);
    await containers('volume', 'rm', '-f', volume);
    if (process.env['SLIPWAY_TEST_IMAGE'] === undefined) await containers('rmi', '-f', image);
  });

  test('is smaller than 500 MB', async () => {
    const [{ Size }] = JSON.parse(await containers('image', 'inspect', image)) as [{ Size: number }];
    expect(Size).toBeLessThan(MAX_IMAGE_BYTES);
  });

  test('carries neither development packages nor other platforms', async () => {
    const packages = (await containers('exec', server.name, 'ls', '/app/node_modules')).split('\n');
    expect(packages).toContain('fastify');
    for (const name of ['typescript', 'vitest', '@biomejs', 'pg', 'fast-check']) expect(packages).not.toContain(name);
    const shell = 'ls -d /app/node_modules/onnxruntime-node/bin/napi-v*/*/*';
    expect((await containers('exec', server.name, 'sh', '-c', shell)).split('\n')).toHaveLength(1);
  });

  test('runs as a user without rights, with only its volume to write to', async () => {
    expect(await containers('exec', server.name, 'id', '-u')).not.toBe('0');
    // Not /tmp: engines put a file system of their own there, in memory.
    for (const folder of ['/', '/app', '/etc', '/usr/local/bin']) {
      const write = containers('exec', server.name, 'sh', '-c', `echo x > ${folder}/written`);
      await expect(write, folder).rejects.toMatchObject({ code: expect.any(Number) });
    }
    await containers('exec', server.name, 'sh', '-c', 'echo x > /data/written && rm /data/written');
  });

  test('deploys a model and answers predictions to those who have a key', async () => {
    await slipway(server, 'deploy', '/app/examples/credit-risk', '--name', 'credit-risk');
    expect((await predict(server, key)).status).toBe(200);
    expect((await predict(server, null)).status).toBe(401);
  });

  test('has the console in it, whose script comes from the server itself', async () => {
    const page = await (await fetch(`${server.management}/console/`)).text();
    const script = await fetch(new URL(/src="([^"]+\.js)"/.exec(page)![1]!, `${server.management}/console/`));
    expect([script.status, script.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8']);
  });

  test('refuses to start open to everybody', async () => {
    const other = await start(`${id}-open`, ['-e', 'SLIPWAY_INFERENCE_AUTH=off']);
    const code = await containers('wait', other.name);
    expect(Number(code)).not.toBe(0);
    expect(await logsOf(other)).toContain('SLIPWAY_INFERENCE_AUTH=required');
    await containers('rm', '-f', other.name);
    await containers('volume', 'rm', '-f', `${id}-open`);
  });

  test('answers again from the same volume after it was killed', async () => {
    await containers('kill', '--signal', 'KILL', server.name);
    await containers('wait', server.name);
    server = await start(volume);
    await untilHealthy(server);
    for (let tries = 0; tries < 40 && (await predict(server, key)).status !== 200; tries++) await sleep(250);
    const { status, body } = await predict(server, key);
    expect({ status, version: body.version }).toEqual({ status: 200, version: 1 });
  });

  test('stops on SIGTERM in order, and reports no failure', async () => {
    const began = performance.now();
    await containers('stop', '-t', '20', server.name);
    expect(performance.now() - began).toBeLessThan(15_000);
    const state = await containers('inspect', server.name, '--format', '{{.State.ExitCode}}').catch(
      (error: Failed) => error.stderr,
    );
    expect(state).toBe('0');
  });
});
