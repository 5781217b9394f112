/** A shadow that hangs, crashes, answers 100 MB or NaN: callers of the live version get every answer, and the rollout says what was wrong. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, pause, type RunningServer, startServer, untilReady } from './running-server.ts';

let server: RunningServer | null = null;
afterEach(() => server?.dispose());

const SHADOW = `
stages:
  - kind: shadow
    sample: 100%
    noiseFloor: 0%
    minPairs: 100
    timeout: 2s
    maxInFlight: 8
    gates:
      - { kind: shadow, maxExcessFlips: 99.99% }
stageBudget: 5m
deadline: 10m
`;
/** One call in ten is one that the shadow cannot stand. */
const EVERY = 10;
const PER_SECOND = 60;

type Case = {
  readonly live: string;
  readonly shadow: string;
  readonly width: number;
  /** What the rollout says when it stops. */
  readonly says: RegExp;
};
const CASES: Readonly<Record<string, Case>> = {
  'never returns from a run': {
    live: 'add.onnx',
    shadow: 'loop-some.onnx',
    width: 3,
    says: /copies|p99/,
  },
  'is killed for its memory': {
    live: 'add.onnx',
    shadow: 'huge-some.onnx',
    width: 3,
    says: /failures with \w+ in \d+ copies/,
  },
  'answers NaN': { live: 'add.onnx', shadow: 'nan-some.onnx', width: 3, says: /answers of another form/ },
  'answers 100 MB': {
    live: 'wide.onnx',
    shadow: 'wide-some.onnx',
    width: 1,
    says: /copies/,
  },
};

test.each(Object.entries(CASES))(
  'a shadow that %s',
  async (_name, { live, shadow, width, says }) => {
    server = await startServer({ env: { SLIPWAY_RUN_TIMEOUT: '3s' } });
    const { client, inferenceUrl } = server;
    for (const file of [live, shadow]) {
      const blob = new Blob([readFileSync(join(MODELS, file))]);
      await client.models.push({ model: 'm', files: [{ path: 'model.onnx', blob }] });
    }
    await client.endpoints.create({ name: 'm', model: 'm', target: { version: 1 } });
    await untilReady(server, 'm');
    const faults: string[] = [];
    const load = startOpenLoop({
      url: inferenceUrl,
      perSecond: PER_SECOND,
      connections: 16,
      arrival: (number) => {
        const x = number % EVERY === 0 ? 200 : number % 100;
        const data = [x, ...Array.from({ length: width - 1 }, () => 0)];
        return {
          path: '/v2/models/m/infer',
          body: JSON.stringify({ inputs: [{ name: 'X', datatype: 'FP32', shape: [1, width], data }] }),
        };
      },
      onAnswer: (answer, number) => {
        const x = number % EVERY === 0 ? 200 : number % 100;
        if (answer.status !== 200) faults.push(`${answer.status} ${answer.text.slice(0, 200)}`);
        else if (answer.headers['x-slipway-version'] !== '1') faults.push('another version answered');
        else {
          const { outputs } = JSON.parse(answer.text) as { outputs: { data: number[] }[] };
          if (outputs[0]!.data[0] !== x + 1) faults.push(`answered ${outputs[0]!.data[0]} to ${x}`);
        }
      },
    });
    await pause(3_000);
    load.takeLatencies();
    await pause(3_000);
    const alone = load.takeLatencies();
    await client.rollouts.start('m', { to: '2', plan: SHADOW });
    const stopped = await eventually(
      'the rollout stops',
      async () => {
        const { rollout } = await client.rollouts.show('m');
        return rollout.isEnded || rollout.phase === 'paused' ? rollout : null;
      },
      120_000,
    );
    const beside = load.takeLatencies();
    expect(stopped.phase).not.toBe('completed');
    expect(stopped.text).toMatch(says);
    expect(stopped.next).not.toBeNull();
    if (!stopped.isEnded) await client.rollouts.command('m', 'abort', { reason: 'seen enough' });
    await pause(1_000);
    await load.stop();
    expect(load.broken).toEqual([]);
    expect(faults).toEqual([]);
    expect(load.answered).toBe(load.sent);
    const p99 = (sorted: number[]): number => sorted[Math.floor((sorted.length - 1) * 0.99)]!;
    console.log(
      `${stopped.text}\np99 alone ${p99(alone).toFixed(1)} ms, beside the shadow ${p99(beside).toFixed(1)} ms`,
    );
  },
  240_000,
);
