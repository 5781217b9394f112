import { describe, expect, test } from 'vitest';
import type { ObservedState } from './desired-state.ts';
import { assessEndpoint, assessServable, type EndpointSpec } from './endpoint.ts';

const NOW = new Date('2026-01-01T00:00:10.000Z');

const spec: EndpointSpec = {
  id: 'e',
  project: 'default',
  name: 'churn',
  environment: 'production',
  model: 'churn',
  modelId: 'm',
  target: { version: 2 },
  targetVersion: 2,
  pins: [],
  loaded: true,
  traffic: null,
  revision: 1,
  createdAt: '',
  createdBy: '',
  updatedAt: '',
};

type Seen = {
  state: ObservedState['versions'][number]['state'];
  serving: number | null;
  reason?: string;
  ready?: boolean;
};

function gateway(seen: Seen, over: Partial<ObservedState> = {}): ObservedState {
  const version = { since: '', memoryBytes: 1, restarts: 0, waiting: 0, project: 'default', model: 'churn' };
  return {
    instance: 'g1',
    httpUrl: 'http://127.0.0.1:1',
    grpcAddress: null,
    generation: 5,
    observedAt: '2026-01-01T00:00:09.000Z',
    versions: [{ ...version, version: 2, state: seen.state, reason: seen.reason ?? null }],
    endpoints: [
      {
        project: 'default',
        name: 'churn',
        servingVersion: seen.serving,
        ready: seen.ready ?? seen.serving !== null,
        reason: null,
      },
    ],
    ...over,
  };
}

describe('the status of an endpoint', () => {
  test('unloaded is a state of its own, once every gateway has taken it over', () => {
    const unloaded = { ...spec, loaded: false };
    const done = gateway({ state: 'draining', serving: null });
    expect(assessEndpoint(unloaded, 5, [done], NOW)).toMatchObject({
      state: 'unloaded',
      servingVersion: null,
      fix: 'slipway endpoints load churn',
    });
    const behind = gateway({ state: 'ready', serving: 2 }, { generation: 4 });
    expect(assessEndpoint(unloaded, 5, [done, behind], NOW).state).toBe('starting');
  });

  test.each([
    ['its version is ready and answers', [gateway({ state: 'ready', serving: 2 })], 'ready', null],
    ['no gateway is connected', [], 'unknown', 'No gateway is connected'],
    [
      'the last report is old',
      [gateway({ state: 'ready', serving: 2 }, { observedAt: '2025-12-31T23:59:50.000Z' })],
      'unknown',
      'last reported 20 s ago',
    ],
    // Another endpoint changed: that this one is served is observed all the same.
    [
      'the gateway is behind, and it is served as wanted',
      [gateway({ state: 'ready', serving: 2 }, { generation: 4 })],
      'ready',
      null,
    ],
    [
      'the gateway is behind and serves another version',
      [gateway({ state: 'ready', serving: 1 }, { generation: 4 })],
      'starting',
      'taking over',
    ],
    ['its first version loads', [gateway({ state: 'loading', serving: null })], 'starting', 'Version 2 is loading'],
    [
      'an older version answers meanwhile',
      [gateway({ state: 'loading', serving: 1 })],
      'updating',
      'version 1 still answers',
    ],
    [
      'its version is quarantined',
      [gateway({ state: 'quarantined', serving: null, reason: 'five crashes in 60 s' })],
      'failed',
      'five crashes in 60 s',
    ],
    [
      'its version cannot be loaded and an older one answers',
      [gateway({ state: 'failed', serving: 1, reason: 'bytes were altered' })],
      'failed',
      'bytes were altered; version 1 still answers',
    ],
    [
      'one gateway of two is not ready',
      [gateway({ state: 'ready', serving: 2 }), gateway({ state: 'restarting', serving: null })],
      'starting',
      'starting again',
    ],
  ])('when %s', (_title, gateways, state, reason) => {
    const status = assessEndpoint(spec, 5, gateways, NOW);
    expect(status.state).toBe(state);
    if (reason === null) expect(status.reason).toBeNull();
    else expect(status.reason).toContain(reason);
    expect(status.fix === null).toBe(state === 'ready');
  });

  test('an alias that is gone is said, with the command that mends it', () => {
    const status = assessEndpoint({ ...spec, target: { alias: 'champion' }, targetVersion: null }, 5, [], NOW);
    expect(status.state).toBe('failed');
    expect(status.fix).toBe('Set it again: slipway aliases set churn champion <version>');
  });

  test("another project's endpoint of the same name does not count", () => {
    const foreign = gateway({ state: 'ready', serving: 2 });
    const status = assessEndpoint({ ...spec, project: 'other' }, 5, [foreign], NOW);
    expect(status.state).toBe('starting');
    expect(status.versions).toEqual([]);
  });
});

describe('whether a version may be served', () => {
  const version = { version: 3, statusReason: null, signature: { inputs: [], outputs: [] } };
  test('only one that passed validation', () => {
    expect(assessServable('churn', { ...version, status: 'ready' })).toBeNull();
    expect(assessServable('churn', { ...version, status: 'validating' })?.reason).toBe(
      'churn@3 is still being validated',
    );
    expect(
      assessServable('churn', { ...version, status: 'failed', statusReason: 'golden case 2 differs' })?.reason,
    ).toBe('churn@3 did not pass validation: golden case 2 differs');
  });
});
