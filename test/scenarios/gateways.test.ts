/**
 * Two gateways on one machine: both answer, their calls share runs, versions change under load without a loss, and each of the processes may be
 * killed at any moment: what is answered is right, what is not is a broken connection of the killed one or a 503 with a time to retry.
 * SLIPWAY_KILLS=60 for more than a test needs.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { startOpenLoop } from './open-loop.ts';
import {
  eventually,
  kill,
  MODELS,
  pause,
  ROOT,
  type RunningServer,
  startServer,
  untilReady,
} from './running-server.ts';

/** What admission says where the machine has no time for us. */
const OVERLOAD = 'More requests come';
const KILLS = Number(process.env['SLIPWAY_KILLS'] ?? 9);

let server: RunningServer;
beforeAll(async () => {
  server = await startServer({ env: { SLIPWAY_GATEWAYS: '2', SLIPWAY_DRAIN: '10s' } });
  const engine = 'onnxruntime'; // in runners: these models are small enough to live in the gateways
  for (const file of ['add.onnx', 'add-two.onnx'])
    await server.client.models.push({
      model: 'add',
      files: [await fileSource(join(MODELS, file), 'model.onnx')],
      engine,
    });
  await server.client.endpoints.create({ name: 'add', model: 'add', target: { version: 1 } });
  await server.client.deploy({
    model: 'slow',
    files: [await fileSource(join(MODELS, 'slow.onnx'), 'model.onnx')],
    engine,
  });
  // Its calls wait a little for others.
  await server.client.models.push({
    model: 'patient',
    files: [await fileSource(join(MODELS, 'add.onnx'), 'model.onnx')],
    limits: { maxDelayMs: 100 },
    engine,
  });
  await server.client.endpoints.create({ name: 'patient', model: 'patient', target: { version: 1 } });
  for (const endpoint of ['add', 'slow', 'patient']) await untilReady(server, endpoint);
}, 120_000);
afterAll(() => server?.dispose());

/** The owner keeps the runners; the guest sends it its calls. */
function pidOf(place: 'owner' | 'guest'): number | undefined {
  const wanted = place === 'owner' ? '0' : '1';
  return server.pids('gateway').find((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words[words.findIndex((word) => word.endsWith('gateway.ts')) + 1] === wanted;
    } catch {
      return false; // it ended while we looked
    }
  });
}

async function metrics(): Promise<string> {
  const response = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${server.adminKey}` } });
  return response.text();
}

/** Predictions answered by each gateway, by its instance. */
async function answersByGateway(endpoint: string): Promise<Map<string, number>> {
  const pattern = new RegExp(
    `^slipway_requests_total\\{gateway="([^"]+)".*endpoint="${endpoint}".*status="200"\\} (\\d+)$`,
    'gm',
  );
  const sums = new Map<string, number>();
  for (const [, gateway, count] of (await metrics()).matchAll(pattern))
    sums.set(gateway!, (sums.get(gateway!) ?? 0) + Number(count));
  return sums;
}

const added = (version: number): number => version; // add.onnx adds one, add-two.onnx two
const bodyOf = (x: number): string => `{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[${x},0,0]}]}`;

/** What is wrong with a 200, null when nothing is. */
function faultOf(text: string, version: unknown, x: number): string | null {
  const { outputs } = JSON.parse(text) as { outputs: { data: number[] }[] };
  const [first] = outputs[0]!.data;
  return first === x + added(Number(version)) ? null : `version ${version} answered ${first} to ${x}`;
}

test('connections are shared out, and both gateways answer', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 40 });
  const ask = (x: number): Promise<string | null> =>
    new Promise((resolve, reject) => {
      const outgoing = request(`${server.inferenceUrl}/v2/models/add/infer`, { agent, method: 'POST' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          if (response.statusCode === 200) resolve(faultOf(text, response.headers['x-slipway-version'], x));
          else if (response.statusCode === 503)
            setTimeout(() => resolve(ask(x)), 200); // a busy machine
          else resolve(text);
        });
      });
      outgoing.on('error', reject);
      outgoing.end(bodyOf(x));
    });
  const faults = await Promise.all(Array.from({ length: 400 }, (_, x) => ask(x)));
  agent.destroy();
  expect(faults.filter((fault) => fault !== null)).toEqual([]);
  await eventually('the metrics of both', async () => {
    const sums = [...(await answersByGateway('add')).values()];
    return sums.length === 2 && sums.every((sum) => sum > 20) && sums.reduce((a, b) => a + b) === 400;
  });
  const text = await metrics();
  // What a runner is, is counted once; what a gateway does, for each.
  expect(text.match(/^slipway_runner_restarts\{.*model="add"/gm)).toHaveLength(1);
  expect(text.match(/^slipway_version_ready\{.*model="add".* 1$/gm)).toHaveLength(2);
  const status = await server.client.status();
  expect(status.gateways).toHaveLength(2);
  expect(new Set(status.gateways.map(({ instance }) => instance)).size).toBe(2);
});

test('another server on the same ports is refused, with one gateway or several', async () => {
  const { port } = new URL(server.inferenceUrl);
  for (const gateways of ['1', '2']) {
    const env = { SLIPWAY_GATEWAYS: gateways, SLIPWAY_HTTP_PORT: port, SLIPWAY_GRPC_PORT: '0' };
    await expect(startServer({ env })).rejects.toThrow(/is used by another program/);
  }
}, 60_000);

test('calls of both gateways share runs', async () => {
  // Connections that stay: a gateway has at most as many calls at one time as it has connections.
  const agents = Array.from({ length: 60 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  const rounds = 20;
  let answered = 0;
  for (let round = 0; round < rounds; round++) {
    const statuses = await Promise.all(agents.map((agent, x) => ask('patient', agent, x)));
    // 503: admission, where the machine has no time for us.
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    answered += statuses.filter((status) => status === 200).length;
  }
  for (const agent of agents) agent.destroy();
  await eventually('runs with more rows than one of the gateways has connections', async () => {
    const answers = [...(await answersByGateway('patient'))].toSorted(([, a], [, b]) => a - b);
    const sum = answers.reduce((total, [, count]) => total + count, 0);
    if (answers.length !== 2 || sum < answered) return false;
    // By round it has at most 30: its calls in runs of more than 32 rows shared them with calls of the other.
    const fewer = ofGateway(await metrics(), answers[0]![0], 'patient');
    const rows = (which: string): number =>
      Number(new RegExp(`^slipway_batch_rows_${which} (\\d+)$`, 'm').exec(fewer)![1]);
    return rows('count\\{.*\\}') - rows('bucket\\{.*le="32"\\}') > 0;
  });
}, 60_000);

/** One row of an adding model; gives the status, 0 where the connection broke. */
function ask(endpoint: string, agent: Agent, x: number): Promise<number> {
  return new Promise((resolve) => {
    const to = `${server.inferenceUrl}/v2/models/${endpoint}/infer`;
    const outgoing = request(to, { agent, method: 'POST' }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    });
    outgoing.on('error', () => resolve(0));
    outgoing.end(bodyOf(x));
  });
}

/** The lines of one gateway about one endpoint. */
function ofGateway(text: string, gateway: string, endpoint: string): string {
  const mine = (line: string): boolean =>
    line.includes(`gateway="${gateway}"`) && line.includes(`endpoint="${endpoint}"`);
  return text.split('\n').filter(mine).join('\n');
}

test('versions change under load of both without a loss', async () => {
  const faults: string[] = [];
  let last = 0;
  const load = startOpenLoop({
    url: server.inferenceUrl,
    perSecond: 150,
    connections: 24,
    arrival: (number) => ({ path: '/v2/models/add/infer', body: bodyOf(number % 1000) }),
    onAnswer: ({ status, headers, text }, number) => {
      last = Number(headers['x-slipway-version']);
      const fault = status === 200 ? faultOf(text, last, number % 1000) : `${status} ${text}`;
      if (fault !== null) faults.push(fault);
    },
  });
  for (let i = 0; i < 8; i++) {
    const version = i % 2 === 0 ? 2 : 1;
    await server.client.endpoints.update('add', { target: { version } });
    await eventually(`version ${version} answers`, () => last === version);
    await pause(i % 3 === 0 ? 0 : 200);
  }
  await load.stop();
  expect(load.broken).toEqual([]);
  expect(faults).toEqual([]);
  expect(load.answered).toBe(load.sent);
  await untilReady(server, 'add', 1);
  // The version that nobody serves any more has ended, in the owner as well.
  await eventually('one runner for each endpoint', () => server.pids('runner').length === 3);
}, 90_000);

/** Both gateways serve all there is. */
async function untilWhole(): Promise<void> {
  await eventually('both gateways serve', async () => {
    const { gateways, counts } = await server.client.status();
    return gateways.length === 2 && counts.endpointsReady === 3;
  });
  await pause(300); // the one that has just become ready takes connections from then on
}

test("a key's rate holds for both together", async () => {
  const limits = { rate: 20, burst: 5 };
  const { key } = await server.client.keys.create({ name: 'limited', scopes: ['predict'], limits });
  await pause(500); // gateways hear of it
  let taken = 0;
  const startedMs = performance.now();
  const caller = async (): Promise<void> => {
    while (performance.now() - startedMs < 3_000) {
      const response = await fetch(`${server.inferenceUrl}/v2/models/patient/infer`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, connection: 'close' },
        body: bodyOf(1),
      });
      await response.arrayBuffer();
      if (response.status === 200) taken++;
      else {
        expect(response.headers.get('ratelimit')).toMatch(/^"rate";r=\d+/);
        await pause(20);
      }
    }
  };
  await Promise.all(Array.from({ length: 10 }, caller));
  const seconds = (performance.now() - startedMs) / 1000;
  // Its burst at each, once, and a few that the others had not heard of.
  expect(taken).toBeLessThan(limits.rate * seconds + 2 * limits.burst + 10);
  expect(taken).toBeGreaterThan(limits.rate);
}, 30_000);

test('a version that lives in the gateway is in each, and answers while the owner is away', async () => {
  const runners = server.pids('runner').length;
  const files = [await fileSource(join(ROOT, 'bench/models/tab.onnx'), 'model.onnx')];
  await server.client.deploy({ model: 'tab', files, engine: 'tabular' });
  await untilReady(server, 'tab');
  expect(server.pids('runner').length).toBe(runners);
  const body = JSON.stringify({ inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 30], data: Array(30).fill(1) }] });
  const tab = async (): Promise<string> => {
    const options = { method: 'POST', body, headers: { connection: 'close' } };
    const response = await fetch(`${server.inferenceUrl}/v2/models/tab/infer`, options);
    const { outputs } = (await response.json()) as { outputs: unknown };
    expect(response.status).toBe(200);
    return JSON.stringify(outputs);
  };
  const answers = new Set(await Promise.all(Array.from({ length: 40 }, tab)));
  expect(answers.size).toBe(1);
  await eventually('both answered', async () => (await answersByGateway('tab')).size === 2);
  const owner = pidOf('owner')!;
  kill(owner, 'SIGSTOP'); // dead to the guest and not restarted
  try {
    // The kernel still gives it connections: those that it took wait. One of these is the guest's.
    const first = await Promise.any(Array.from({ length: 12 }, tab));
    expect(answers.has(first)).toBe(true);
  } finally {
    kill(owner, 'SIGCONT');
  }
  await server.client.endpoints.remove('tab');
}, 60_000);

describe('processes that are killed', () => {
  test(`${KILLS} times owner, guest and runner under load: what is answered is right, and everything comes back`, async () => {
    const faults: string[] = [];
    let good = 0;
    let overloaded = 0;
    const refused: string[] = [];
    const load = startOpenLoop({
      url: server.inferenceUrl,
      perSecond: 120,
      connections: 24,
      arrival: (number) => ({ path: '/v2/models/add/infer', body: bodyOf(number % 1000) }),
      onAnswer: ({ status, headers, text }, number) => {
        if (status === 200) {
          good++;
          const fault = faultOf(text, headers['x-slipway-version'], number % 1000);
          if (fault !== null) faults.push(fault);
        } else if (status === 503 && Number(headers['retry-after']) > 0) {
          const { error } = JSON.parse(text) as { error: string };
          if (error.startsWith(OVERLOAD)) overloaded++;
          else refused.push(error);
        } else faults.push(`${status} ${text}`);
      },
    });
    const broken = { owner: 0, guest: 0, runner: 0 };
    for (let i = 0; i < KILLS; i++) {
      const role = (['owner', 'guest', 'runner'] as const)[i % 3]!;
      const brokenBefore = load.broken.length;
      const goodBefore = good;
      const before = { owner: pidOf('owner'), guest: pidOf('guest') };
      if (role === 'runner') kill(server.pids('runner')[0]!);
      else kill(before[role]!);
      await eventually(`another ${role}`, () =>
        role === 'runner'
          ? server.pids('runner').length === 3
          : pidOf(role) !== undefined && pidOf(role) !== before[role],
      );
      // The other one lives on.
      if (role === 'guest') expect(pidOf('owner')).toBe(before.owner);
      if (role === 'owner') expect(pidOf('guest')).toBe(before.guest);
      await untilWhole();
      await eventually('answers go on', () => good > goodBefore + 50);
      broken[role] += load.broken.length - brokenBefore;
    }
    await load.stop();
    console.log(
      `${good} right, ${refused.length} lost, ${overloaded} too many for a busy machine, broken ${JSON.stringify(broken)}`,
    );
    expect(faults).toEqual([]);
    expect(broken.runner).toBe(0);
    expect(good + refused.length + overloaded + load.broken.length).toBe(load.sent);
    // Each kill costs the killed one's connections, and at most what the kernel had for it; never the other's.
    expect(load.broken.length).toBeLessThan(KILLS * 24);
    // In the run of a runner that was killed, or with two owners that were.
    expect(refused.length).toBeLessThan(KILLS * 5);
  }, 240_000);

  test('callers of the guest wait for an owner that was killed, and are answered', async () => {
    // Twenty connections that stay open; which gateway has which is the kernel's choice.
    const open = Array.from({ length: 20 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    expect(new Set(await Promise.all(open.map((agent) => ask('patient', agent, 1))))).toEqual(new Set([200]));
    kill(pidOf('owner')!);
    const statuses = await Promise.all(open.map((agent) => ask('patient', agent, 2)));
    // Connections of the dead are broken, and node's client opens new ones to the guest; the guest's wait for the successor.
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0);
    expect(statuses.filter((status) => status !== 200 && status !== 0)).toEqual([]);
    for (const agent of open) agent.destroy();
    await untilWhole();
  }, 60_000);
});

test('stopping answers what is under way at both, and leaves nothing behind', async () => {
  const pids = [...server.pids('gateway'), ...server.pids('runner'), ...server.pids('control')];
  const asked = Array.from({ length: 6 }, (_, x) =>
    fetch(`${server.inferenceUrl}/v2/models/slow/infer`, {
      method: 'POST',
      body: JSON.stringify({
        inputs: [
          { name: 'X', datatype: 'FP32', shape: [1, 1], data: [x] },
          { name: 'rounds', datatype: 'INT64', shape: [1, 1], data: [50_000] },
        ],
      }),
    }).then((response) => response.status),
  );
  await pause(100);
  const stopped = server.stop();
  expect(new Set(await Promise.all(asked))).toEqual(new Set([200]));
  expect(await stopped).toBe(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
}, 60_000);
