/** The recorder with its real thread: what is lost when that dies is counted, and another one goes on. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Recording, signature, startRecording } from '../../../test/fixtures/recording.ts';
import { uuidv7 } from '../../base/ids.ts';
import { createLogger } from '../../base/log.ts';
import { WHOLE } from '../../serving/endpoints/assignment.ts';
import type { ObservedPrediction } from '../../serving/gateway/prediction-observer.ts';
import { createPredictionRecorder, type PredictionRecorder } from './prediction-recorder.ts';
import { PREDICTIONS_FOLDER, RECORDING_FILE } from './recording-file.ts';

let r: Recording;
let recorder: PredictionRecorder;
let thread: Worker;
let said = '';
const onThread = (message: unknown): void => {
  thread = (message as { worker: Worker }).worker;
};
beforeEach(async () => {
  said = '';
  r = await startRecording();
  subscribe('worker_threads', onThread);
  recorder = create();
  await until(() => counts().streams === 0 && thread !== undefined);
});
afterEach(async () => {
  unsubscribe('worker_threads', onThread);
  await recorder.close();
  await r.stop();
});

function create(): PredictionRecorder {
  const log = createLogger('gateway', 'info', {
    write: (line) => {
      said += line;
    },
  });
  return createPredictionRecorder({
    dataDir: r.folder,
    instance: uuidv7(),
    quotaBytes: 2 ** 40,
    profileRate: 1e6,
    log,
  });
}

async function until(isSo: () => boolean, timeoutMs = 15_000): Promise<void> {
  for (const from = performance.now(); !isSo(); await sleep(20))
    if (performance.now() - from > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${isSo.toString()}`);
}

function counts(): Record<string, number> {
  return Object.fromEntries(
    recorder
      .gauges()
      .flatMap(({ name, samples }) =>
        samples.map(({ labels, value }) => [
          labels['reason'] ?? name.replace(/^slipway_predictions_|_total$/g, ''),
          value,
        ]),
      ),
  );
}

const prediction = (change: Partial<ObservedPrediction> = {}): ObservedPrediction => ({
  predictionId: uuidv7(),
  requestId: 'r',
  atMs: Date.now(),
  project: 'default',
  endpoint: 'churn',
  model: 'churn-model',
  version: 1,
  versionDigest: `sha256:${'1'.repeat(64)}`,
  protocol: 'plain',
  signature,
  assignment: WHOLE,
  split: null,
  slice: null,
  outcome: {
    kind: 'answered',
    outputs: [{ name: 'score', datatype: 'FP32', shape: [1, 1], data: Float32Array.of(0.5) }],
  },
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(41, 7) },
    { name: 'email', datatype: 'BYTES', shape: [1, 1], data: ['x@example.org'] },
    { name: 'country', datatype: 'BYTES', shape: [1, 1], data: ['DE'] },
    { name: 'customer', datatype: 'BYTES', shape: [1, 1], data: ['c1'] },
    { name: 'embedding', datatype: 'FP32', shape: [1, 100], data: new Float32Array(100) },
  ],
  rows: 1,
  latencyMs: 1,
  queueMs: 0,
  runMs: 1,
  shadowOf: null,
  ...change,
});

describe('the thread that records', () => {
  test('dies: what it had not written is counted as dropped, another one starts, and no line is there twice', async () => {
    await sleep(1200); // the policy is looked at every second
    for (let at = 0; at < 100; at++) recorder.observe(prediction());
    await until(() => counts()['logged'] === 100);
    expect(await r.list()).toHaveLength(100);

    for (let at = 0; at < 50; at++) recorder.observe(prediction());
    await sleep(300); // handed over, and not written for a second
    await thread.terminate();
    await until(() => counts()['thread'] === 50);
    // Nobody takes what comes now.
    for (let at = 0; at < 20; at++) recorder.observe(prediction());
    await until(() => counts()['busy'] === 20);
    const before = thread;
    await until(() => thread !== before);
    for (let at = 0; at < 30; at++) recorder.observe(prediction());
    await until(() => counts()['logged'] === 130);
    expect(counts()).toMatchObject({ logged: 130, thread: 50, busy: 20, disk: 0, quota: 0 });
    const rows = await r.list();
    expect(rows).toHaveLength(130);
    expect(new Set(rows.map((row) => row.id)).size).toBe(130);
  }, 30_000);

  test('that fails by itself is told, and replaced', async () => {
    const before = thread;
    // No message of ours is such a one.
    thread.postMessage({ kind: 'rows', batch: { stream: 1, counts: null } });
    recorder.observe(prediction());
    await sleep(600);
    thread.postMessage({ kind: 'rows', batch: { stream: 1, counts: null } });
    await until(() => thread !== before);
    expect(said).toContain('the thread that records predictions failed; another one starts');
    recorder.observe(prediction());
    await sleep(1500);
    expect(counts()['logged']).toBeGreaterThan(0);
  }, 30_000);

  test('is given nothing until it is known what may be kept, and a damaged file changes nothing', async () => {
    const path = join(r.folder, RECORDING_FILE);
    const good = readFileSync(path, 'utf8');
    await recorder.close();
    rmSync(path);
    recorder = create();
    for (let at = 0; at < 600; at++) recorder.observe(prediction());
    await sleep(1500);
    writeFileSync(path, JSON.stringify({ ...JSON.parse(good), policies: { 'default/churn': { sample: 1 } } }));
    for (let at = 0; at < 600; at++) recorder.observe(prediction());
    await sleep(1500);
    expect(said).toContain('what to record cannot be read');
    expect(readdirSync(join(r.folder, PREDICTIONS_FOLDER))).not.toContain('segments');
    writeFileSync(path, good);
    await sleep(1200);
    recorder.observe(prediction());
    await until(() => counts()['logged'] === 1);
    writeFileSync(path, '{"schema":1');
    await sleep(1200);
    recorder.observe(prediction());
    await until(() => counts()['logged'] === 2);
    await recorder.close();
    await r.monitoring.ingest();
    // Of the first 1,200 there are counts and nothing else.
    expect(await r.monitoring.profiles.show(r.call, 'churn', {})).toMatchObject({ predictions: 1202, profiled: 2 });
  }, 30_000);
});
