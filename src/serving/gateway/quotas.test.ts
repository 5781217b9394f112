/** Quotas of keys and of callers without one, priorities and fair shares, over a real gateway and real runners. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  add,
  end,
  type GatewayProcess,
  json,
  makeState,
  playControl,
  serve,
  tensor,
} from '../../../test/fixtures/gateway.ts';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import { type KeyLimits, NO_LIMITS } from '../../base/access/key-limits.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';

const key = (limits?: Partial<KeyLimits>) => {
  const { id, secret, text } = makeKey();
  const desired: DesiredKey = {
    id,
    project: null,
    secretSha256: hashSecret(secret),
    scopes: ['predict'],
    expiresAt: null,
    ...(limits === undefined ? {} : { limits: { ...NO_LIMITS, ...limits } }),
  };
  return { id, text, desired };
};

const free = key();
const slowly = key({ rate: 0.01, burst: 3 });
const few = key({ concurrency: 2 });
const flood = key({});
const changing = key({ rate: 0.001, burst: 1 });
const all = [free, slowly, few, flood, changing];
const slow = {
  model: 'slow',
  file: 'slow.onnx',
  signature: {
    inputs: [tensor('X', 'FP32', -1, 1), tensor('rounds', 'INT64', -1, 1)],
    outputs: [tensor('Y', 'FP32', -1, 1)],
  },
  sampleRequest: { records: [{ X: 1, rounds: 1 }] },
  canBatch: false,
  limits: { queueLimit: 20 },
};
const versions = [add(), slow];

let gateway: GatewayProcess;
beforeAll(async () => {
  gateway = await serve(
    { versions, keys: all.map((one) => one.desired) },
    { env: { SLIPWAY_ANONYMOUS_RATE: '2', SLIPWAY_ANONYMOUS_CONCURRENCY: '5' } },
  );
}, 60_000);
afterAll(() => end(gateway));

const ask = (whose: { text: string } | null, model = 'add', rounds = 1, headers: Record<string, string> = {}) =>
  fetch(
    `${gateway.url}/endpoints/${model}/predict`,
    json(model === 'add' ? { records: [{ X: [1, 2, 3] }] } : { records: [{ X: 1, rounds }] }, {
      ...headers,
      ...(whose === null ? {} : { authorization: `Bearer ${whose.text}` }),
    }),
  );

describe('rates', () => {
  it('beyond the burst a key is answered 429 with Retry-After and headers that say what is left', async () => {
    const statuses: number[] = [];
    const left: (string | null)[] = [];
    let last: Response | null = null;
    for (let i = 0; i < 5; i++) {
      last = await ask(slowly);
      statuses.push(last.status);
      left.push(last.headers.get('ratelimit'));
      if (i < 4) await last.text();
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect(left.map((text) => /r=(\d+)/.exec(text!)![1])).toEqual(['2', '1', '0', '0', '0']);
    expect(last!.headers.get('ratelimit-policy')).toBe('"rate";q=3;w=300');
    expect(Number(last!.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await last!.json()).toMatchObject({
      code: 'rate_limited',
      retryable: true,
      detail: expect.stringContaining(`The API key ${slowly.id} may make 0.01 predictions a second, 3 at once`),
    });
    // No other key notices.
    const other = await ask(free);
    expect([other.status, other.headers.get('ratelimit')]).toEqual([200, null]);
  });

  it('callers without a key share one quota, where one is set', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(null)));
    const statuses = answers.map((one) => one.status).sort();
    expect(statuses.filter((status) => status === 200)).toHaveLength(2);
    expect(statuses.filter((status) => status === 429)).toHaveLength(4);
    expect(answers[0]!.headers.get('ratelimit-policy')).toBe(
      '"rate";q=2;w=1, "concurrency";q=5;qu="concurrent-requests"',
    );
  });

  it('a refused request is answered before its body is there', async () => {
    await (await ask(slowly)).text();
    const body = new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode('{"records":[')) });
    const startedMs = performance.now();
    const response = await fetch(`${gateway.url}/endpoints/add/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${slowly.text}` },
      body,
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(429);
    expect(performance.now() - startedMs).toBeLessThan(1000);
    await response.body?.cancel();
  });

  it('another limit holds as soon as the gateway is told, and what was used stays used', async () => {
    await (await ask(changing)).text();
    expect((await ask(changing)).status).toBe(429);
    const control = await playControl(gateway.dataDir);
    try {
      await control.connected();
      const keys = all.map(({ id, desired }) =>
        id === changing.id ? { ...desired, limits: { ...NO_LIMITS, rate: 1000, burst: 100 } } : desired,
      );
      control.send(makeState(gateway.dataDir, { versions, keys, generation: 2 }));
      const untilMs = performance.now() + 5000;
      while ((await ask(changing)).status !== 200) expect(performance.now()).toBeLessThan(untilMs);
      expect((await ask(slowly)).status).toBe(429);
    } finally {
      await control.close();
    }
  });
});

describe('concurrency', () => {
  it('more at once than a key may have is 429; places come back, also those of clients that went away', async () => {
    const long = 400_000;
    const abort = new AbortController();
    const under = [ask(few, 'slow', long), ask(few, 'slow', long)];
    await new Promise((resolve) => setTimeout(resolve, 30));
    const third = await ask(few, 'add');
    expect([third.status, third.headers.get('ratelimit')]).toEqual([429, '"concurrency";r=0']);
    await Promise.all(under);
    expect((await ask(few)).status).toBe(200);
    const gone = [1, 2].map(() =>
      fetch(`${gateway.url}/endpoints/slow/predict`, {
        ...json({ records: [{ X: 1, rounds: long }] }, { authorization: `Bearer ${few.text}` }),
        signal: abort.signal,
      }).catch(() => null),
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    abort.abort();
    await Promise.all(gone);
    const untilMs = performance.now() + 10_000;
    while ((await ask(few)).status !== 200) expect(performance.now()).toBeLessThan(untilMs);
  });
});

describe('fairness', () => {
  it('R-23: a key that fills the queue is refused, another beside it is not', async () => {
    const flooding = Array.from({ length: 100 }, () => ask(flood, 'slow', 30_000));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const others: number[] = [];
    for (let i = 0; i < 10; i++) others.push((await ask(free, 'slow', 1000)).status);
    const statuses = (await Promise.all(flooding)).map((one) => one.status);
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(20);
    expect(others).toEqual(others.map(() => 200));
  });

  it('a priority is a word of three; what is high goes before what waits already', async () => {
    const odd = await ask(free, 'add', 1, { 'x-slipway-priority': 'urgent' });
    expect([odd.status, await odd.json()]).toEqual([400, expect.objectContaining({ code: 'invalid_request' })]);
    const order: string[] = [];
    const told = async (name: string, priority: string): Promise<void> => {
      const response = await ask(free, 'slow', 50_000, { 'x-slipway-priority': priority });
      expect(response.status).toBe(200);
      order.push(name);
    };
    const lows = Array.from({ length: 10 }, () => told('low', 'low'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all([...lows, told('high', 'high'), told('high', 'high')]);
    expect(order.lastIndexOf('high')).toBeLessThan(8);
  });
});

it('every answer tells where its time went', async () => {
  const response = await ask(free, 'slow', 100_000);
  const timing = response.headers.get('server-timing')!;
  expect(timing).toMatch(/^parse;dur=[\d.]+, queue;dur=[\d.]+, run;dur=[\d.]+, write;dur=[\d.]+$/);
  expect(Number(/run;dur=([\d.]+)/.exec(timing)![1])).toBeGreaterThan(0.5);
  const missing = await fetch(`${gateway.url}/nothing`);
  expect(missing.headers.get('server-timing')).toMatch(/^total;dur=[\d.]+$/);
});
