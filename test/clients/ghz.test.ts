/** A load of unary gRPC calls by ghz: every one is answered. What it measures is printed and not judged. Optional: `npm run test:clients`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../sdk/src/node.ts';
import { loadProtos, PROTOS } from '../fixtures/grpc-client.ts';
import { MODELS, type RunningServer, startServer } from '../scenarios/running-server.ts';
import { canHaveGhz, type GhzReport, makeGhz, runGhz } from './ghz.ts';

const CONCURRENCY = 16;
const SECONDS = 5;
const COUNT = Int32Array.from({ length: 16 }, (_, i) => i + 1);

describe.skipIf(!canHaveGhz)('ghz', () => {
  let server: RunningServer;
  let folder: string;
  let ghz: string;

  beforeAll(async () => {
    ghz = await makeGhz();
    folder = mkdtempSync(join(tmpdir(), 'slipway-ghz-'));
    server = await startServer();
    const files = [await fileSource(join(MODELS, 'simple.onnx'), 'model.onnx')];
    expect((await server.client.deploy({ model: 'simple', files })).outcome).toBe('served');
  });
  afterAll(async () => {
    await server?.dispose();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  /** ModelInfer with raw contents, of the model named. */
  function load(model: string, ...options: string[]): Promise<GhzReport> {
    const raw = Buffer.from(COUNT.buffer);
    const inputs = ['INPUT0', 'INPUT1'].map((name) => ({ name, datatype: 'INT32', shape: [1, 16] }));
    const type = loadProtos().lookupType('inference.ModelInferRequest');
    const message = type.fromObject({ model_name: model, inputs, raw_input_contents: [raw, raw] });
    const file = join(folder, `${model}.bin`);
    writeFileSync(file, type.encode(message).finish());
    const call = ['--proto', join(PROTOS, 'grpc_service.proto'), '--call', 'inference.GRPCInferenceService.ModelInfer'];
    return runGhz(ghz, server.grpcAddress, ...call, '--binary-file', file, ...options);
  }

  async function answered(): Promise<number> {
    const statistics = await fetch(`${server.inferenceUrl}/v2/models/simple/stats`);
    const { model_stats: models } = (await statistics.json()) as { model_stats: { inference_count: number }[] };
    return models[0]!.inference_count;
  }

  test(`${CONCURRENCY} callers for ${SECONDS} s: every call is OK, and the server counted as many`, async () => {
    const before = await answered();
    const report = await load('simple', '--concurrency', `${CONCURRENCY}`, '--duration', `${SECONDS}s`);
    expect(report.statusCodeDistribution).toEqual({ OK: report.count });
    expect(report.errorDistribution ?? {}).toEqual({});
    expect(report.count).toBeGreaterThan(CONCURRENCY);
    expect((await answered()) - before).toBe(report.count);
    const p99 = report.latencyDistribution.find(({ percentage }) => percentage === 99)!.latency / 1e6;
    console.log(`ghz: ${Math.round(report.rps)} requests/s of ModelInfer, p99 ${p99.toFixed(2)} ms`);
  });

  test('a model that does not exist: every call is NotFound', async () => {
    const report = await load('simpel', '--concurrency', '2', '--total', '20');
    expect(report.statusCodeDistribution).toEqual({ NotFound: 20 });
  });
});
