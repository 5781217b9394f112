/**
 * What is served changes under callers over HTTP and gRPC, and a gateway ends and comes back: no call is lost, and each is answered by the version
 * it names. Once with versions that live in the gateway, once with processes.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import {
  add,
  end,
  type GatewayProcess,
  json,
  makeDataDir,
  makeState,
  playControl,
  type StateChoice,
  startGateway,
  type VersionChoice,
  writeState,
} from '../../../test/fixtures/gateway.ts';
import { connect, floats, floatsOf, OIP, type TestClient } from '../../../test/fixtures/grpc-client.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanUps.splice(0).reverse()) await one();
});

async function until(what: string, check: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const endMs = performance.now() + ms;
  while (!(await check())) {
    if (performance.now() > endMs) throw new Error(`it never came: ${what}`);
    await pause(10);
  }
}

/** Odd versions add one, even ones two. */
const added = (version: number): number => (version % 2 === 1 ? 1 : 2);

type Callers = {
  /** Right answers over each protocol, and what was wrong. */
  readonly right: { http: number; grpc: number };
  readonly faults: string[];
  /** The versions that answered. */
  readonly versions: Set<number>;
  stop(): Promise<void>;
};

/** Three callers over HTTP and three over gRPC, who ask again as soon as they are answered. */
function startCallers({ url, grpcAddress }: GatewayProcess): Callers {
  const clients = Array.from({ length: 3 }, () => connect(grpcAddress));
  const right = { http: 0, grpc: 0 };
  const faults: string[] = [];
  const versions = new Set<number>();
  let asking = true;
  let last = 0;
  const judge = (protocol: 'http' | 'grpc', version: number, y: number, x: number): void => {
    versions.add(version);
    if (y === x + added(version)) right[protocol]++;
    else faults.push(`${protocol}: version ${version} answered ${y} to ${x}`);
  };
  const overHttp = async (): Promise<void> => {
    const x = ++last;
    const body = `{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[${x},0,0]}]}`;
    const response = await fetch(`${url}/v2/models/add/infer`, json(body));
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} ${text}`);
    const { model_version, outputs } = JSON.parse(text) as { model_version: string; outputs: { data: number[] }[] };
    judge('http', Number(model_version), outputs[0]!.data[0]!, x);
  };
  const overGrpc = async (client: TestClient): Promise<void> => {
    const x = ++last;
    const { value } = await client.call(`${OIP}/ModelInfer`, {
      model_name: 'add',
      inputs: [{ name: 'X', datatype: 'FP32', shape: [1, 3] }],
      raw_input_contents: [floats(x, 0, 0)],
    });
    const [y] = floatsOf((value['raw_output_contents'] as Buffer[])[0]);
    judge('grpc', Number(value['model_version']), y!, x);
  };
  const ask = async (call: () => Promise<void>): Promise<void> => {
    while (asking) {
      await call().catch((error: unknown) => faults.push(String(error)));
      await pause(1);
    }
  };
  const all = [...clients.map((client) => ask(() => overGrpc(client))), ...clients.map(() => ask(overHttp))];
  return {
    right,
    faults,
    versions,
    async stop() {
      asking = false;
      await Promise.all(all);
      for (const client of clients) client.close();
    },
  };
}

describe.each([
  ['in the gateway', 'tabular'],
  ['in processes', 'onnxruntime'],
])('versions %s', (_place, engine) => {
  const version = (number: number, changes: Partial<VersionChoice> = {}): VersionChoice =>
    add({ version: number, file: number % 2 === 1 ? 'add.onnx' : 'add-two.onnx', model: 'add', engine, ...changes });
  const serving = (number: number, more: Partial<StateChoice> = {}): StateChoice => ({
    versions: [version(number)],
    endpoints: [{ name: 'add', version: number }],
    ...more,
  });

  async function start(choice: StateChoice, env: Record<string, string> = {}) {
    const dataDir = makeDataDir();
    cleanUps.push(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));
    const control = await playControl(dataDir);
    cleanUps.push(() => control.close());
    writeState(dataDir, makeState(dataDir, choice));
    const gateway = await startGateway(dataDir, { env });
    cleanUps.push(() => end(gateway));
    await control.connected();
    return { dataDir, control, gateway };
  }

  test('swaps, pins, environments, limits and a control that goes and comes lose no call and mix none', async () => {
    let { dataDir, control, gateway } = await start(serving(1));
    const callers = startCallers(gateway);
    let generation = 1;
    const send = (choice: StateChoice): void =>
      control.send(makeState(dataDir, { ...choice, generation: ++generation }));
    const answered = async (): Promise<void> => {
      const { http, grpc } = callers.right;
      await until('answers over both', () => callers.right.http > http + 5 && callers.right.grpc > grpc + 5);
    };
    const seen = (number: number): Promise<void> =>
      until(`version ${number} ready`, () =>
        Boolean(
          control.heard.observed?.endpoints.some((one) => one.servingVersion === number && one.ready) &&
            control.heard.observed.generation === generation,
        ),
      );
    await answered();
    for (let number = 2; number <= 7; number++) {
      send(serving(number));
      await seen(number);
      await answered();
    }
    // Back and forth between versions that both run, as an alias moves.
    for (const number of [8, 7, 8, 7]) {
      send({
        versions: [version(7), version(8)],
        endpoints: [{ name: 'add', version: number, pins: [7, 8] }],
      });
      await seen(number);
      await answered();
    }
    send(serving(7, { endpoints: [{ name: 'add', version: 7, environment: 'staging' }] }));
    await seen(7);
    await answered();
    for (const queueLimit of [3, 512]) {
      send(serving(7, { versions: [version(7, { limits: { queueLimit } })] }));
      await seen(7);
      await answered();
    }
    await control.close();
    await answered();
    control = await playControl(dataDir);
    const again = control;
    cleanUps.push(() => again.close());
    await control.connected();
    send(serving(9));
    await seen(9);
    await answered();
    await callers.stop();
    expect(callers.faults).toEqual([]);
    expect([...callers.versions].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await until('the end of all but one', () => control.heard.observed?.versions.length === 1);
    const [left] = control.heard.observed!.versions;
    expect(left!.memoryBytes === null).toBe(engine === 'tabular'); // it is where this test says it is
  }, 120_000);

  test('R-14: SIGTERM under callers: not ready at once, all is answered while it drains, exit 0 in time', async () => {
    const { gateway } = await start(serving(1), { SLIPWAY_DRAIN: '10s' });
    const callers = startCallers(gateway);
    await until('answers', () => callers.right.http > 10 && callers.right.grpc > 10);
    const sentMs = performance.now();
    const exit = gateway.stop('SIGTERM');
    const health = (): Promise<Response> => fetch(`${gateway.url}/v2/health/ready`);
    let ready = await health();
    for (; ready.ok; ready = await health()) await ready.text();
    expect([ready.status, ready.headers.get('connection')]).toEqual([503, 'close']);
    expect((await fetch(`${gateway.url}/v2/health/live`)).status).toBe(200);
    const { http, grpc } = callers.right;
    await until('answers of an ending gateway', () => callers.right.http > http + 5 && callers.right.grpc > grpc + 5);
    await callers.stop();
    expect(callers.faults).toEqual([]);
    expect(await exit).toBe(0);
    expect(performance.now() - sentMs).toBeLessThan(30_000);
  }, 60_000);

  test('killed, it serves again what it served, without control', async () => {
    const { dataDir, control, gateway } = await start(serving(1));
    control.send(makeState(dataDir, { ...serving(2), generation: 2 }));
    await until('version 2', () => control.heard.observed?.endpoints[0]?.servingVersion === 2);
    const kept = join(dataDir, 'run/desired-state.json');
    await until('version 2 on disk', () => JSON.parse(readFileSync(kept, 'utf8')).generation === 2);
    await control.close();
    await gateway.stop('SIGKILL');
    const again = await startGateway(dataDir);
    cleanUps.push(() => end(again));
    const callers = startCallers(again);
    await until('answers', () => callers.right.http > 5 && callers.right.grpc > 5);
    await callers.stop();
    expect([callers.faults, [...callers.versions]]).toEqual([[], [2]]);
  }, 60_000);
});
