/**
 * Versions change under callers who do not wait for one another: no answer but 200, no connection that breaks, and every answer is that of the
 * version it names. SLIPWAY_SWAPS=1000 for more than a test needs; the p99 beside that of steady load is printed, not judged.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Answer, startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, pause, type RunningServer, startServer, untilReady } from './running-server.ts';

const SWAPS = Number(process.env['SLIPWAY_SWAPS'] ?? 25);
/** Every fifth swap is to a version that does not run yet. */
const COLD_EVERY = 5;
const PER_SECOND = 150;

/** Odd versions add one, even ones two. */
const added = (version: number): number => (version % 2 === 1 ? 1 : 2);
const FILES = ['add.onnx', 'add-two.onnx', 'add.onnx', 'add-two.onnx'];

/** The same model under another digest: field 6 of ModelProto is a text that nothing reads. */
function modelBytes(file: string, version: number): Blob {
  const stamp = Buffer.from(`version ${version}`);
  return new Blob([readFileSync(join(MODELS, file)), Buffer.from([0x32, stamp.length]), stamp]);
}

/** What is wrong with an answer, null when nothing is. */
function faultOf(answer: Answer, x: number): string | null {
  const version = Number(answer.headers['x-slipway-version']);
  if (answer.status !== 200) return `${answer.status} ${answer.text}`;
  const { model_version: named, outputs } = JSON.parse(answer.text) as {
    model_version: string;
    outputs: { data: number[] }[];
  };
  const [first] = outputs[0]!.data;
  if (named !== String(version)) return `version ${version} in the header, ${named} in the body`;
  return first === x + added(version) ? null : `version ${version} answered ${first} to ${x}`;
}

let server: RunningServer | null = null;
afterEach(() => server?.dispose());

test(
  `${SWAPS} swaps under open-loop load: every answer is 200 and that of the version it names`,
  async () => {
    server = await startServer();
    const { client, inferenceUrl } = server;
    for (const [i, file] of FILES.entries()) {
      const blob = modelBytes(file, i + 1);
      await client.models.push({ model: 'add', files: [{ path: 'model.onnx', blob }] });
    }
    await client.aliases.set('add', 'champion', 1);
    await client.endpoints.create({ name: 'warm', model: 'add', target: { alias: 'champion' }, pins: [1, 2] });
    await client.endpoints.create({ name: 'cold', model: 'add', target: { version: 3 } });
    for (const endpoint of ['warm', 'cold']) await untilReady(server, endpoint);

    const endpoints = ['warm', 'cold'] as const;
    const faults: string[] = [];
    const last = { warm: 0, cold: 0 };
    const seen = { warm: 0, cold: 0 };
    const load = startOpenLoop({
      url: inferenceUrl,
      perSecond: PER_SECOND,
      connections: 32,
      arrival: (number) => ({
        path: `/v2/models/${endpoints[number % 2]}/infer`,
        body: `{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[${number % 1000},0,0]}]}`,
      }),
      onAnswer: (answer, number) => {
        const fault = faultOf(answer, number % 1000);
        if (fault !== null) faults.push(`request ${number}: ${fault}`);
        const endpoint = endpoints[number % 2]!;
        const version = Number(answer.headers['x-slipway-version']);
        if (version !== last[endpoint]) seen[endpoint]++;
        last[endpoint] = version;
      },
    });
    const answers = (endpoint: 'warm' | 'cold', version: number): Promise<true> =>
      eventually(`${endpoint} answers with version ${version}`, () => last[endpoint] === version, 30_000);

    await pause(2000);
    load.takeLatencies(); // the first requests pay for compilation
    await pause(2000);
    const steady = load.takeLatencies();
    const swapped = { warm: 0, cold: 0 };
    const target = { warm: 1, cold: 3 };
    for (let i = 0; i < SWAPS; i++) {
      if (i % COLD_EVERY === COLD_EVERY - 1) {
        target.cold = target.cold === 3 ? 4 : 3;
        await client.endpoints.update('cold', { target: { version: target.cold } });
        await answers('cold', target.cold);
        swapped.cold++;
      } else {
        target.warm = target.warm === 1 ? 2 : 1;
        await client.aliases.set('add', 'champion', target.warm);
        await answers('warm', target.warm);
        swapped.warm++;
      }
    }
    const changing = load.takeLatencies();
    await load.stop();

    const p99 = (sorted: number[]): number => sorted[Math.floor((sorted.length - 1) * 0.99)]!;
    console.log(
      `${swapped.warm} warm and ${swapped.cold} cold swaps, ${load.answered} answers; p99 ${p99(changing).toFixed(1)} ms, steady ${p99(steady).toFixed(1)} ms: ` +
        `${(p99(changing) / p99(steady)).toFixed(2)} times`,
    );
    expect(load.broken).toEqual([]);
    expect(faults).toEqual([]);
    expect(load.answered).toBe(load.sent);
    // The first answer counts as one change; an answer of the old version that was under way may come after one of the new.
    expect(seen.warm).toBeGreaterThan(swapped.warm);
    expect(seen.cold).toBeGreaterThan(swapped.cold);
  },
  60_000 + SWAPS * 3_000,
);
