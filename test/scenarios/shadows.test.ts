/** A shadow that hangs, crashes, answers 100 MB or NaN: callers of the live version get every answer, and the rollout says what was wrong. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startOpenLoop } from './open-loop.ts';
import { eventually, MODELS, pause, ROOT, type RunningServer, startServer, untilReady } from './running-server.ts';

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
    // a shadow that held up the live path would do so for seconds; what is below that is this machine's noise
    expect(p99(beside)).toBeLessThan(3 * p99(alone) + 100);
    console.log(
      `${stopped.text}\np99 alone ${p99(alone).toFixed(1)} ms, beside the shadow ${p99(beside).toFixed(1)} ms`,
    );
  },
  240_000,
);

// A busy machine drops copies (minCoverage: 0%); those that were made are compared all the same.
test('several shadows at once: beside the noise floor, by tenant, with the pairs that differ', async () => {
  server = await startServer();
  const { client, inferenceUrl, dataDir } = server;
  for (const [at, file] of ['add.onnx', 'add-two.onnx', 'add.onnx'].entries()) {
    const blob = new Blob([readFileSync(join(MODELS, file))]);
    await client.models.push({ model: 'm', files: [{ path: 'model.onnx', blob }], tags: { take: String(at) } });
  }
  await client.endpoints.create({ name: 'm', model: 'm', target: { version: 1 } });
  await untilReady(server, 'm');
  const plan = `
sliceBy: { header: X-Tenant }
stages:
  - { kind: shadow, sample: 100%, noiseFloor: 100%, also: [3], minPairs: 50, minDwell: 1s, gates: [{ kind: shadow, minPairs: 50, minCoverage: 0% }] }
`;
  await client.rollouts.start('m', { to: '2', plan });
  const ids = new Set<string>();
  const shown = await eventually(
    'the rollout has seen enough',
    async () => {
      for (const tenant of ['acme', 'globex']) {
        const answer = await fetch(`${inferenceUrl}/v2/models/m/infer`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-tenant': tenant },
          body: '{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}',
        });
        expect(answer.status).toBe(200);
        ids.add(answer.headers.get('x-prediction-id') ?? '');
        await answer.arrayBuffer();
      }
      const now = await client.rollouts.show('m');
      const isSeen = now.shadows.length === 3 && now.shadows.every((one) => one.pairs >= 50);
      return now.rollout.phase === 'paused' && isSeen ? now : null;
    },
    60_000,
  );
  expect(shown.rollout.text).toMatch(/Decisions differ in 100 % of \d+ pairs, surely more than 0.5 % above chance/);
  const [candidate, third, floor] = ['candidate', 'version-3', 'noise-floor'].map(
    (name) => shown.shadows.find((one) => one.name === name)!,
  );
  expect(candidate!.flips).toBe(candidate!.pairs);
  for (const same of [third, floor]) expect(same).toMatchObject({ flips: 0, worst: [] });
  for (const { statuses, pairs, otherForms, newErrors } of [candidate!, third!, floor!]) {
    expect(statuses['ok']).toBe(pairs);
    expect(statuses['error']! + statuses['timeout']! + statuses['oversize']!).toBe(0);
    expect({ otherForms, newErrors }).toEqual({ otherForms: 0, newErrors: {} });
  }
  expect(candidate!.slices.map((one) => one.slice).sort()).toEqual(['acme', 'globex']);
  for (const { pairs, flips } of candidate!.slices) expect(flips).toBe(pairs);
  expect(candidate!.worst).toHaveLength(50);
  for (const { predictionId, slice } of candidate!.worst) {
    expect(ids).toContain(predictionId);
    expect(['acme', 'globex']).toContain(slice);
  }
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_DATA: dataDir };
  const typed = spawnSync(join(ROOT, 'bin/slipway'), ['rollouts', 'show', 'm'], { env, encoding: 'utf8' });
  expect(typed.stdout).toContain(candidate!.worst[0]!.predictionId);
  expect(typed.stdout).toMatch(/version-3 {2}\d+ pairs, 0 % of the decisions differ/);
  expect(typed.stdout).toMatch(/noise-floor {2}\d+ pairs, 0 % of the decisions differ/);
  await client.rollouts.command('m', 'abort', { reason: 'seen enough' });
  await eventually('it is over', async () => (await client.rollouts.show('m')).rollout.isEnded);
  // What was compared can be read afterwards.
  expect((await client.rollouts.show('m')).shadows.map((one) => one.name).sort()).toEqual(
    shown.shadows.map((one) => one.name).sort(),
  );
}, 120_000);
