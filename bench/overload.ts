/**
 * Open-loop load at 0.8, 1, 2, 5 and 10 times what a version can do: goodput, latency of what was admitted, how soon the rest was
 * refused, and memory. The model is slow on purpose, so that ten times its capacity can be offered from the same machine.
 *
 *     bin/node-24 bench/overload.ts [--run-ms 5] [--seconds 6] [--batch] [--factors 0.8,1,2,5,10]
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { end, json, serve, tensor } from '../test/fixtures/gateway.ts';
import { httpRequest, openLoop, percentile } from '../test/fixtures/open-loop.ts';

const { values: flags } = parseArgs({
  options: {
    'run-ms': { type: 'string', default: '5' },
    seconds: { type: 'string', default: '6' },
    factors: { type: 'string', default: '0.8,1,2,5,10' },
    batch: { type: 'boolean', default: false },
  },
});
const runMs = Number(flags['run-ms']);
const seconds = Number(flags.seconds);

const SLOW = {
  model: 'slow',
  file: 'slow.onnx',
  signature: {
    inputs: [tensor('X', 'FP32', -1, 1), tensor('rounds', 'INT64', -1, 1)],
    outputs: [tensor('Y', 'FP32', -1, 1)],
  },
  sampleRequest: { records: [{ X: 1, rounds: 1 }] },
  canBatch: flags.batch,
};
const gateway = await serve({ versions: [SLOW] });
const residentMb = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

try {
  const path = '/endpoints/slow/predict';
  const body = (rounds: number): string => JSON.stringify({ records: [{ X: 1, rounds }] });
  const once = async (rounds: number): Promise<number> => {
    const startedMs = performance.now();
    await (await fetch(gateway.url + path, json(body(rounds)))).arrayBuffer();
    return performance.now() - startedMs;
  };
  for (let i = 0; i < 5; i++) await once(2000);
  const probes: number[] = [];
  for (let i = 0; i < 9; i++) probes.push(await once(20_000));
  const rounds = Math.max(1, Math.round((20_000 * runMs) / percentile(probes, 0.5)));

  // Capacity: eight callers who ask again as soon as they are answered.
  const untilMs = performance.now() + 3000;
  let answered = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (performance.now() < untilMs) {
        await once(rounds);
        answered++;
      }
    }),
  );
  const capacity = answered / 3;
  console.log(`capacity ${capacity.toFixed(0)}/s, ${rounds} rounds, batching ${flags.batch ? 'on' : 'off'}`);
  console.log('offered  goodput  of capacity  p50 ms  p99 ms  refused  refusal p50  p99  other  lost  RSS MB');
  const request = httpRequest(gateway.url, path, body(rounds));
  for (const factor of flags.factors.split(',').map(Number)) {
    const result = await openLoop({
      url: gateway.url,
      request,
      perSecond: capacity * factor,
      seconds,
      warmUpSeconds: Math.min(2, seconds / 3),
      maxConnections: 4000,
    });
    const good = result.byStatus.get(200) ?? [];
    const refused = [...(result.byStatus.get(503) ?? []), ...(result.byStatus.get(429) ?? [])];
    const other = [...result.byStatus].filter(([status]) => ![200, 503, 429].includes(status));
    console.log(
      [
        `${factor}x`.padEnd(7),
        (good.length / result.seconds).toFixed(0).padStart(8),
        `${((100 * good.length) / result.seconds / capacity).toFixed(0)} %`.padStart(12),
        percentile(good, 0.5).toFixed(1).padStart(7),
        percentile(good, 0.99).toFixed(1).padStart(7),
        `${refused.length}`.padStart(8),
        percentile(refused, 0.5).toFixed(2).padStart(12),
        percentile(refused, 0.99).toFixed(2).padStart(6),
        `${other.reduce((sum, [, times]) => sum + times.length, 0) + result.broken}`.padStart(5),
        `${result.lost}`.padStart(5),
        residentMb().toFixed(0).padStart(6),
      ].join(' '),
    );
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
} finally {
  await end(gateway);
}
