/**
 * Switches, ramps and aborts under load: no caller gets an error or another model's answer, and the shares of the arms lie within the binomial
 * bound. SLIPWAY_TEST_CHANGES says how many of each; three unless it is set, because 200 of each take a quarter of an hour.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OpenLoop, startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, type RunningServer, startServer, untilReady } from './running-server.ts';

const TIMES = Number(process.env['SLIPWAY_TEST_CHANGES'] ?? 3);
const EACH_MS = 20_000;
const PLAN = (dwell: string): string => `
stages:
  - kind: canary
    weights: [20%, 50%]
    minDwell: ${dwell}
    minExposures: 10
    gates: [{ kind: rate-ratio, passMargin: 4, passBelow: 40% }]
  - { kind: promote, soak: 0s, keepWarm: 1h }
deadline: 1h
`;

let server: RunningServer;
let load: OpenLoop;
const faults: string[] = [];
const statuses = new Map<number, number>();

beforeAll(async () => {
  server = await startServer();
  for (const file of ['add.onnx', 'add-two.onnx']) {
    const blob = new Blob([readFileSync(join(MODELS, file))]);
    await server.client.models.push({ model: 'add', files: [{ path: 'model.onnx', blob }] });
  }
  await server.client.endpoints.create({ name: 'add', model: 'add', target: { version: 1 }, pins: [2] });
  await untilReady(server, 'add');
  load = startOpenLoop({
    url: server.inferenceUrl,
    perSecond: 150,
    connections: 8,
    arrival: (number) => ({
      path: '/v2/models/add/infer',
      body: `{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[${number % 1000},0,0]}]}`,
    }),
    onAnswer: (answer, number) => {
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      if (answer.status !== 200) return void faults.push(`${answer.status} ${answer.text.slice(0, 200)}`);
      const { outputs } = JSON.parse(answer.text) as { outputs: { data: number[] }[] };
      const version = Number(answer.headers['x-slipway-version']);
      if (outputs[0]!.data[0] !== (number % 1000) + version) faults.push(`version ${version} answered wrongly`);
    },
  });
}, 60_000);
afterAll(() => server?.dispose());

const serving = async (): Promise<number> => (await server.client.endpoints.show('add')).status.servingVersion!;

async function reaches(phase: string): Promise<void> {
  await eventually(
    `the rollout is ${phase}`,
    async () => {
      const { rollout } = await server.client.rollouts.show('add');
      if (rollout.isEnded && rollout.phase !== phase) throw new Error(rollout.text);
      return rollout.phase === phase;
    },
    60_000,
  );
}

test(
  `${TIMES} switches at once`,
  async () => {
    for (let i = 0; i < TIMES; i++) {
      const version = 1 + ((i + 1) % 2);
      await server.client.endpoints.update('add', { target: { version }, pins: [3 - version] });
      await eventually('it serves', async () => (await serving()) === version);
    }
    expect(faults).toEqual([]);
  },
  TIMES * EACH_MS,
);

test(
  `${TIMES} ramps to the end, each with its shares`,
  async () => {
    const seen = new Map<string, { canary: number; all: number }>();
    for (let i = 0; i < TIMES; i++) {
      const to = 3 - (await serving());
      await server.client.rollouts.start('add', { to: String(to), plan: PLAN('0s') });
      await reaches('completed');
      expect(await serving()).toBe(to);
      const { records } = await server.client.rollouts.show('add');
      for (const { evidence, from, stage } of records) {
        const shares = (evidence as { gate: string; text: string }[]).find(({ gate }) => gate === 'shares');
        const counts = [...(shares?.text ?? '').matchAll(/(canary|control|rest) ([\d,]+) where/g)];
        if (from !== 'baking' || counts.length === 0) continue;
        const arms = Object.fromEntries(counts.map(([, arm, count]) => [arm, Number(count!.replaceAll(',', ''))]));
        // what is compared at 20 % are the canary and a control as large
        const key = `before stage ${stage}`;
        const total = seen.get(key) ?? { canary: 0, all: 0 };
        total.canary += arms['canary']!;
        total.all += arms['canary']! + arms['control']!;
        seen.set(key, total);
      }
    }
    expect(seen.size).toBeGreaterThan(0);
    for (const [stage, { canary, all }] of seen) {
      // both stages compare arms of equal size; beyond four and a half standard deviations once in 150,000
      expect(Math.abs(canary - all / 2), `${stage}: ${canary} of ${all}`).toBeLessThan(4.5 * Math.sqrt(all / 4));
      console.log(`${stage}: the canary got ${canary} of ${all} (${(canary / all).toFixed(4)})`);
    }
    expect(faults).toEqual([]);
  },
  TIMES * EACH_MS,
);

test(
  `${TIMES} aborts half way`,
  async () => {
    for (let i = 0; i < TIMES; i++) {
      const before = await serving();
      await server.client.rollouts.start('add', { to: String(3 - before), plan: PLAN('10m') });
      await reaches('baking');
      await server.client.rollouts.command('add', 'abort', { reason: `number ${i}` });
      await reaches('rolled-back');
      expect(await serving()).toBe(before);
    }
    await load.stop();
    expect(faults).toEqual([]);
    expect(load.broken).toEqual([]);
    expect([...statuses.keys()]).toEqual([200]);
    expect(load.answered).toBe(load.sent);
    console.log(`${load.sent} calls, all answered with 200`);
  },
  TIMES * EACH_MS,
);
