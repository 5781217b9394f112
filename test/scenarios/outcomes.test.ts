/** Gates on what became of predictions: feedback that comes late, twice, out of order, and for one arm only, on the whole product. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FeedbackItem } from '../../sdk/src/client.ts';
import { startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
  for (const take of ['first', 'second']) {
    const blob = new Blob([readFileSync(join(MODELS, 'iris.onnx'))]);
    await server.client.models.push({ model: 'm', files: [{ path: 'model.onnx', blob }], tags: { take } });
  }
  await server.client.endpoints.create({ name: 'm', model: 'm', target: { version: 1 } });
  await untilReady(server, 'm');
}, 60_000);
afterAll(() => server?.dispose());

const PLAN = `
labelDelay: 1s
stages:
  - kind: canary
    weight: 50%
    minDwell: 1s
    minExposures: 50
    gates: [{ kind: rate-ratio, metric: wrong, failMargin: 1.25, passMargin: 3 }]
  - { kind: promote, soak: 1s, keepWarm: 10s }
stageBudget: 10m
deadline: 20m
`;

/** How often each version turns out to be wrong, and who is told of it. */
type World = { readonly wrong: Readonly<Record<string, number>>; readonly told: (version: string) => boolean };

/** Calls, and what becomes of each: told a second later, then once more, and the last revision before the first. */
function live(world: World): { stop(): Promise<void> } {
  const waiting: { dueMs: number; items: FeedbackItem[] }[] = [];
  const faults: unknown[] = [];
  let number = 0;
  const load = startOpenLoop({
    url: server.inferenceUrl,
    perSecond: 80,
    connections: 8,
    arrival: () => ({
      path: '/v2/models/m/infer',
      body: '{"inputs":[{"name":"input-0","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}',
    }),
    onAnswer: (answer) => {
      const version = String(answer.headers['x-slipway-version']);
      if (answer.status !== 200) return void faults.push(answer.text);
      if (!world.told(version)) return;
      const { outputs, id } = JSON.parse(answer.text) as { id: string; outputs: { data: number[] }[] };
      const said = outputs[0]!.data[0]!;
      const isWrong = (number++ * 0.6180339887) % 1 < world.wrong[version]!;
      const truth = isWrong ? said + 1 : said;
      const predictionId = String(answer.headers['x-prediction-id'] ?? id);
      const items = [
        { predictionId, truth, revision: 2 },
        { predictionId, truth: said + 7, revision: 1 }, // a first guess that comes after its correction
        { predictionId, truth, revision: 2 },
      ];
      waiting.push({ dueMs: performance.now() + 1000, items });
    },
  });
  const telling = setInterval(() => {
    const due = waiting.findIndex((one) => one.dueMs > performance.now());
    const items = waiting.splice(0, due === -1 ? waiting.length : due).flatMap((one) => one.items);
    if (items.length > 0) server.client.feedback.send(items, { endpoint: 'm' }).catch((error) => faults.push(error));
  }, 500);
  return {
    async stop() {
      await load.stop();
      clearInterval(telling);
      expect(faults).toEqual([]);
    },
  };
}

async function rolledOut(world: World, until: (phase: string) => boolean) {
  const calls = live(world);
  try {
    await server.client.rollouts.start('m', { to: '2', plan: PLAN });
    return await eventually(
      'the rollout has decided',
      async () => {
        const { rollout } = await server.client.rollouts.show('m');
        return until(rollout.phase) ? rollout : null;
      },
      180_000,
    );
  } finally {
    await calls.stop();
  }
}

test('gates on feedback are refused where no prediction is logged, with what to type', async () => {
  await expect(server.client.rollouts.start('m', { to: '2', plan: PLAN })).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('slipway policy set m'),
  });
  await server.client.policy.set('m', { sample: 1 });
});

test('a version that is wrong more often, fast and with 200, is rolled back by what people said of its answers', async () => {
  const world = { wrong: { 1: 0.05, 2: 0.5 }, told: () => true };
  const { phase, text } = await rolledOut(world, (at) => at === 'rolled-back' || at === 'completed');
  expect(text).toMatch(/predictions of the canary were wrong/);
  expect(phase).toBe('rolled-back');
}, 240_000);

test('feedback that comes for one arm only makes the comparison invalid: it neither passes nor fails', async () => {
  const world = { wrong: { 1: 0, 2: 0 }, told: (version: string) => version === '2' };
  const { phase, text } = await rolledOut(world, (at) => at === 'paused' || at === 'completed');
  expect(phase).toBe('paused');
  expect(text).toMatch(/do not get their shares of the feedback of wrong/);
  await server.client.rollouts.command('m', 'abort');
  await eventually('it is over', async () => (await server.client.rollouts.show('m')).rollout.isEnded);
}, 240_000);

test('a version that is wrong as often as the one before is promoted', async () => {
  const world = { wrong: { 1: 0.2, 2: 0.2 }, told: () => true };
  const { phase, text } = await rolledOut(world, (at) => at === 'completed' || at === 'paused' || at === 'rolled-back');
  expect(phase, text).toBe('completed');
}, 240_000);
