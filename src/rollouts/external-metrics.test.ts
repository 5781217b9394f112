import { describe, expect, it } from 'vitest';
import { createWorld } from '../../test/fixtures/rollout-world.ts';
import { type Ask, addReading, readExternal } from './external-metrics.ts';
import type { ExternalGate } from './gates/gate.ts';
import { builtInPlan } from './strategies.ts';
import { taskOf } from './task.ts';

const task = taskOf({ inputs: [], outputs: [] });
const { rollout } = createWorld({ plan: builtInPlan('canary', task) });
const gate = (source: ExternalGate['source']): ExternalGate => ({
  kind: 'external',
  name: 'revenue',
  role: 'guardrail',
  source,
  timeoutMs: 1000,
  everyMs: 10_000,
  failAbove: null,
  failBelow: 5,
  passAfter: 1,
  failAfter: 1,
});
const prometheus = gate({ kind: 'prometheus', url: 'https://prom.example/base/', query: 'sum(rate(x[5m])) > 0' });
const webhook = gate({ kind: 'webhook', url: 'https://hook.example/ask' });
const answering =
  (text: string, status = 200): Ask =>
  async () => ({ status, text });
const read = (of: ExternalGate, ask: Ask) => readExternal(of, rollout, ask, () => 7);
const vector = (...values: string[]) =>
  JSON.stringify({
    status: 'success',
    data: { resultType: 'vector', result: values.map((value) => ({ metric: {}, value: [1, value] })) },
  });

describe('external metrics', () => {
  it('of Prometheus are one number', async () => {
    let asked = '';
    const got = await read(prometheus, async (one) => {
      asked = one.url;
      return { status: 200, text: vector('4.5') };
    });
    expect(got).toEqual({ kind: 'value', value: 4.5, atMs: 7 });
    expect(asked).toBe('https://prom.example/base/api/v1/query?query=sum%28rate%28x%5B5m%5D%29%29+%3E+0');
    const scalar = '{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}';
    expect(await read(prometheus, answering(scalar))).toMatchObject({ value: 2 });
  });

  it('of a webhook are its value, and it is told what it is asked about', async () => {
    let body: unknown;
    const got = await read(webhook, async (one) => {
      body = one.body;
      return { status: 200, text: '{"value": 9}' };
    });
    expect(got).toMatchObject({ kind: 'value', value: 9 });
    expect(body).toEqual({
      gate: 'revenue',
      rollout: 'r1',
      project: 'default',
      endpoint: 'churn',
      from: 2,
      to: 3,
      stage: null,
    });
  });

  it.each<[string, ExternalGate, Ask, RegExp]>([
    ['no series', prometheus, answering(vector()), /gives 0 series/],
    ['several series', prometheus, answering(vector('1', '2')), /gives 2 series/],
    ['not a number', prometheus, answering(vector('NaN')), /gives NaN, not a number/],
    ['a failed query', prometheus, answering('{"status":"error","error":"parse error"}'), /parse error/],
    [
      'a matrix',
      prometheus,
      answering('{"status":"success","data":{"resultType":"matrix","result":[]}}'),
      /gives matrix/,
    ],
    ['a page', prometheus, answering('<html>'), /no JSON/],
    ['null', webhook, answering('null'), /no number under "value"/],
    ['a text', webhook, answering('{"value":"9"}'), /no number under "value"/],
    ['another status', webhook, answering('{"value":9}', 503), /answered with 503/],
    ['a redirect', webhook, answering('', 302), /answered with 302/],
    [
      'nothing',
      webhook,
      async () => Promise.reject(new Error('there was no answer within 1000 ms')),
      /no answer within/,
    ],
  ])('that cannot be read are an outage: %s', async (_title, of, ask, reason) => {
    expect(await read(of, ask)).toMatchObject({ kind: 'outage', reason: expect.stringMatching(reason) });
  });

  it('are kept newest first, and not for ever', () => {
    let known = addReading(undefined, { kind: 'value', value: 0, atMs: 0 });
    for (let at = 1; at <= 30; at++) known = addReading(known, { kind: 'value', value: at, atMs: at });
    expect(known.values).toHaveLength(20);
    expect(known.values[0]).toMatchObject({ value: 30 });
  });
});
