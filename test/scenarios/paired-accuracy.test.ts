/** Which of two models was right, where both answered and the truth came later: a shadow passes or is taken back by it, on the whole product. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FeedbackItem } from '../../sdk/src/client.ts';
import { startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
  const { client } = server;
  for (const file of ['half-plus-two.onnx', 'half-plus-three.onnx'])
    await client.models.push({
      model: 'half',
      files: [{ path: 'model.onnx', blob: new Blob([readFileSync(join(MODELS, file))]) }],
    });
  await client.endpoints.create({ name: 'half', model: 'half', target: { version: 1 } });
  await untilReady(server, 'half');
  await client.policy.set('half', { sample: 1 });
}, 60_000);
afterAll(() => server?.dispose());

const PLAN = `
labelDelay: 1s
stages:
  - { kind: shadow, sample: 100%, noiseFloor: 0%, minPairs: 100, minDwell: 1s, gates: [{ kind: paired-accuracy }] }
stageBudget: 5m
deadline: 10m
`;

/** Calls whose truth is what the new version answers in so many of them, and else what the current one does; told a second later. */
function live(newIsRight: number): { stop(): Promise<void> } {
  const waiting: { dueMs: number; item: FeedbackItem }[] = [];
  const faults: unknown[] = [];
  const load = startOpenLoop({
    url: server.inferenceUrl,
    perSecond: 80,
    connections: 8,
    arrival: (number) => ({
      path: '/v2/models/half/infer',
      body: `{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[${number % 10}]}]}`,
    }),
    onAnswer: (answer, number) => {
      if (answer.status !== 200) return void faults.push(answer.text);
      const own = (JSON.parse(answer.text) as { outputs: { data: number[] }[] }).outputs[0]!.data[0]!;
      if (own !== (number % 10) / 2 + 2) faults.push(`the shadow's answer went to a caller: ${answer.text}`);
      const truth = (number * 0.6180339887) % 1 < newIsRight ? own + 1 : own;
      const predictionId = String(answer.headers['x-prediction-id']);
      waiting.push({ dueMs: performance.now() + 1000, item: { predictionId, truth } });
    },
  });
  const telling = setInterval(() => {
    const due = waiting.findIndex((one) => one.dueMs > performance.now());
    const items = waiting.splice(0, due === -1 ? waiting.length : due).map((one) => one.item);
    if (items.length > 0) server.client.feedback.send(items, { endpoint: 'half' }).catch((error) => faults.push(error));
  }, 500);
  return {
    async stop() {
      await load.stop();
      clearInterval(telling);
      expect(faults).toEqual([]);
      expect(load.broken).toEqual([]);
    },
  };
}

test.each([
  [0.2, 'rolled-back', /Of \d+ calls on which one model was right, the new one was right \d+ times: surely too few/],
  [0.8, 'completed', /Of \d+ calls on which one model was right, the new one was right \d+ times: surely enough/],
] as const)(
  'a new version that is right in %s of the calls on which they differ: %s',
  async (share, ends, says) => {
    const calls = live(share);
    try {
      await server.client.rollouts.start('half', { to: '2', plan: PLAN });
      const { rollout, records } = await eventually(
        'the rollout has decided',
        async () => {
          const shown = await server.client.rollouts.show('half');
          return shown.rollout.isEnded || shown.rollout.phase === 'paused' ? shown : null;
        },
        120_000,
      );
      expect(rollout.phase, rollout.text).toBe(ends);
      expect(records.map((one) => one.reason).join('\n')).toMatch(says);
      expect((await server.client.endpoints.show('half')).status.servingVersion).toBe(1);
    } finally {
      await calls.stop();
    }
  },
  150_000,
);
