/** A canary that suddenly fails always, on the whole product: it has no call any more within two seconds, and says why. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, pause, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer | null = null;
afterEach(() => server?.dispose());

/** Failures in a row that are the limit. */
const LIMIT = 20;
const PLAN = `
stages:
  - kind: canary
    weight: 20%
    minDwell: 1h
    gates: [{ kind: rate-ratio, failMargin: 1000, passBelow: 20% }, { kind: ceiling, consecutiveErrors: ${LIMIT}, errorRate: 25% }]
  - { kind: promote }
`;
const TIMES = 3;
/** Both versions answer up to index 3, only the first one further. */
const FINE = 3;
const HARMFUL = 500;

test('from the failure that is one too many to the last call of the canary: less than two seconds', async () => {
  const running = await startServer();
  server = running;
  const { client, inferenceUrl } = running;
  for (const file of ['antidote.onnx', 'poison.onnx'])
    await client.models.push({
      model: 'm',
      files: [{ path: 'model.onnx', blob: new Blob([readFileSync(join(MODELS, file))]) }],
    });
  await client.endpoints.create({ name: 'm', model: 'm', target: { version: 1 } });
  await untilReady(running, 'm');
  let index = FINE;
  let failedAtMs: number[] = [];
  const faults: string[] = [];
  const calls = startOpenLoop({
    url: inferenceUrl,
    perSecond: 200,
    connections: 8,
    arrival: () => ({
      path: '/v2/models/m/infer',
      body: `{"inputs":[{"name":"idx","datatype":"INT64","shape":[1],"data":[${index}]}]}`,
    }),
    onAnswer: ({ status, headers, text }) => {
      if (status === 200) return;
      failedAtMs.push(performance.now());
      if (headers['x-slipway-version'] !== '2') faults.push(`${status} ${text.slice(0, 200)}`);
    },
  });
  for (let time = 0; time < TIMES; time++) {
    index = FINE;
    failedAtMs = [];
    await client.rollouts.start('m', { to: '2', plan: PLAN });
    await eventually(
      'calls are shared out',
      async () => (await client.rollouts.show('m')).rollout.phase === 'baking',
      60_000,
    );
    await pause(1_000 + 300 * time); // at another moment of the second each time
    expect(failedAtMs).toEqual([]);
    index = HARMFUL;
    const { records, rollout } = await eventually(
      'the rollout has gone back',
      async () => {
        const shown = await client.rollouts.show('m');
        return shown.rollout.phase === 'rolled-back' ? shown : null;
      },
      30_000,
    );
    const seen = failedAtMs.length;
    await pause(500);
    expect(failedAtMs.length, 'nobody is sent to it any more').toBe(seen);
    expect(rollout.text).toMatch(
      /The last \d+ predictions of the canary all failed, and 20 is the limit|failed, more than the limit of 25 %/,
    );
    expect(rollout.next).not.toBeNull();
    expect(records.find((one) => one.to === 'rolling-back')).toMatchObject({ by: 'slipway', verdict: 'FAIL' });
    const [firstMs, trippedMs, lastMs] = [failedAtMs[0]!, failedAtMs[LIMIT - 1]!, failedAtMs.at(-1)!];
    console.log(
      `tripped after ${(lastMs - trippedMs).toFixed(0)} ms, ${(lastMs - firstMs).toFixed(0)} ms after the first failure; ${seen} calls failed`,
    );
    expect(lastMs - trippedMs).toBeLessThan(2_000);
  }
  await calls.stop();
  expect(calls.broken).toEqual([]);
  expect(faults).toEqual([]);
}, 180_000);
