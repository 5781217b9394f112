/** How fast 1 MB tensors move through Slipway and its runner, there and back, beside a plain copy over a socket. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deployBytes, type Slipway, startSocketCopy } from './contenders.ts';
import { applyLoad, type LoadResult } from './load.ts';
import { type Spread, spreadOf } from './statistics.ts';

export type LargeTensors = {
  readonly bodyBytes: number;
  readonly connections: number;
  readonly slipwayRequestsPerSecond: Spread;
  readonly copyRequestsPerSecond: Spread;
  /** Slipway's requests per second over those of the copy, round by round. */
  readonly share: Spread;
  readonly failed: number;
};

const IDENTITY = fileURLToPath(new URL('../test/fixtures/models/fp32.onnx', import.meta.url));
const ELEMENTS = 2 ** 18;
const CONNECTIONS = 4;

export async function measureLargeTensors(
  slipway: Slipway,
  how: { rounds: number; seconds: number; serverCores: string; clientCores: string; folder: string },
): Promise<LargeTensors> {
  await deployBytes(slipway, {
    model: 'identity',
    bytes: new Uint8Array(readFileSync(IDENTITY)),
    engine: 'onnxruntime',
  });
  const url = new URL('/v2/models/identity/infer', slipway.url('open-inference')!).href;
  const { body, headers } = request();
  const probe = await fetch(url, { method: 'POST', body, headers });
  const answer = await probe.arrayBuffer();
  if (!probe.ok || answer.byteLength < ELEMENTS * 4)
    throw new Error(`the identity model answered with ${probe.status}`);
  const bodies = join(how.folder, 'large.bin');
  writeFileSync(bodies, body);
  const copy = await startSocketCopy(how.serverCores);
  try {
    const load = (to: string, seconds: number): Promise<LoadResult> =>
      applyLoad({ url: to, bodies, headers, connections: CONNECTIONS, seconds, cores: how.clientCores });
    const ours: LoadResult[] = [];
    const theirs: LoadResult[] = [];
    for (const to of [url, copy.url]) await load(to, 2);
    for (let round = 0; round < how.rounds; round++) {
      ours.push(await load(url, how.seconds));
      theirs.push(await load(copy.url, how.seconds));
    }
    const rates = (results: LoadResult[]): number[] => results.map((result) => result.requestsPerSecond);
    return {
      bodyBytes: body.length,
      connections: CONNECTIONS,
      slipwayRequestsPerSecond: spreadOf(rates(ours)),
      copyRequestsPerSecond: spreadOf(rates(theirs)),
      share: spreadOf(rates(ours).map((rate, i) => rate / theirs[i]!.requestsPerSecond)),
      failed: [...ours, ...theirs].reduce((sum, result) => sum + result.refused + result.socketErrors, 0),
    };
  } finally {
    await copy.stop();
  }
}

function request(): { body: Buffer<ArrayBuffer>; headers: Record<string, string> } {
  const data = Float32Array.from({ length: ELEMENTS }, (_, i) => i / 7);
  const size = data.byteLength;
  const input = { name: 'X', datatype: 'FP32', shape: [ELEMENTS, 1], parameters: { binary_data_size: size } };
  const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
  return {
    body: Buffer.concat([head, Buffer.from(data.buffer)]),
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(head.length),
    },
  };
}
