/**
 * Public examples and bad requests of other servers, sent to a real gateway. The cases beside this file (triton.yaml, mlflow.yaml and
 * the others) say what is answered here and, where that differs, what the other server answers and why ours does not.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Datatype } from '../../src/registry/signature.ts';
import type { DesiredEndpoint } from '../../src/serving/endpoints/desired-state.ts';
import { end, type GatewayProcess, serve, tensor } from '../fixtures/gateway.ts';
import { connect, OIP, type TestClient } from '../fixtures/grpc-client.ts';

/** `[name, datatype, ...shape]` */
type TensorRow = [string, Datatype, ...number[]];
/** Elements by datatype, or bytes as `HEX`. */
type Bytes = { INT32: number[] } | { FP32: number[] } | { BYTES: string[] } | { HEX: string } | { TEXT: string };
type Output = { name: string; datatype: string; shape: number[]; data: unknown; binary?: boolean };
type Request = {
  readonly title: string;
  /** Where the case, or the rule that it tries, stands in the repository of the other server. */
  readonly source: string;
  readonly answer: {
    readonly status: number | keyof typeof grpc.status;
    readonly outputs?: Output[];
    readonly body?: unknown;
    /** Keys of the body, where others may stand beside them. */
    readonly has?: unknown;
    /** A whole answer that is no JSON. */
    readonly text?: string;
    /** Null for one that must not be there. */
    readonly headers?: Record<string, string | null>;
    /** What the message must hold, so that the caller finds the fault. */
    readonly says?: string;
  };
  /** Only where theirs is another. */
  readonly theirs?: { readonly status: number | string; readonly why: string };
};
type HttpCase = Request & {
  /** Method and path. */
  readonly http: string;
  readonly json?: unknown;
  readonly text?: string;
  /** A text with so many brackets. */
  readonly nested?: [before: string, depth: number, inner: string, after: string];
  readonly bytes?: Bytes[];
  readonly headers?: Record<string, string>;
  /** The type whose `json-header-size` is the size of the JSON before `bytes`, in place of the header. */
  readonly sizeInType?: string;
  readonly compress?: 'gzip' | 'deflate';
  readonly chunked?: boolean;
};
type GrpcCase = Request & { readonly grpc: string; readonly message: Record<string, unknown>; readonly raw?: Bytes[] };
type Replays = {
  readonly system: string;
  readonly models: Record<
    string,
    { inputs: TensorRow[]; outputs: TensorRow[]; sample: Record<string, unknown>; classes?: string[] }
  >;
  /** Where the models are called otherwise than their files. */
  readonly endpoints?: (Partial<DesiredEndpoint> & { name: string })[];
  /** Whether the cases go to the port that speaks this protocol alone. */
  readonly port?: string;
  /** The endpoint that answers where none is named. */
  readonly default?: string;
  readonly cases: (HttpCase | GrpcCase)[];
};

/** What is not finite, as TensorFlow Serving writes it. */
const BARE_WORDS = /(?<=[[:,])(NaN|-?Infinity)(?=[\],}])/g;
const JSON_SIZE = 'inference-header-content-length';
const SIZE_IN_TYPE = /;json-header-size=(\d+)$/;

const FILES = [
  'triton',
  'kserve',
  'mlserver',
  'tensorflow-serving',
  'kserve-v1',
  'torchserve',
  'mlflow',
  'sagemaker',
  'vertex',
  'azure-ml',
  'seldon',
  'openai',
];

describe.each(FILES)('%s', (file) => {
  const { system, models, endpoints, port, cases, ...rest } = parse(
    readFileSync(join(import.meta.dirname, `${file}.yaml`), 'utf8'),
  ) as Replays;
  let gateway: GatewayProcess;
  let client: TestClient;

  beforeAll(async () => {
    const versions = Object.entries(models).map(([name, { inputs, outputs, sample, classes }]) => ({
      file: `${name}.onnx`,
      signature: {
        inputs: inputs.map((row) => tensor(...row)),
        outputs: outputs.map((row) => ({ ...tensor(...row), ...(classes === undefined ? {} : { labels: classes }) })),
      },
      sampleRequest: { inputs: sample },
    }));
    gateway = await serve(
      { versions, ...(endpoints === undefined ? {} : { endpoints }) },
      {
        env: {
          ...(port === undefined ? {} : { SLIPWAY_PROTOCOL_PORTS: `${port}=0` }),
          ...(rest.default === undefined ? {} : { SLIPWAY_DEFAULT_ENDPOINT: rest.default }),
        },
      },
    );
    client = connect(gateway.grpcAddress);
  });
  afterAll(async () => {
    client?.close();
    await end(gateway);
  });

  test.each(cases)(`${system}: $title`, async (one) => {
    const seen =
      'grpc' in one ? await call(client, one) : await send(gateway.protocolUrls[port ?? ''] ?? gateway.url, one);
    const { status, outputs, body, has, text, headers = {}, says } = one.answer;
    expect(seen.status, seen.message).toBe(status);
    for (const [name, value] of Object.entries(headers)) expect([name, seen.headers?.get(name)]).toEqual([name, value]);
    if (has !== undefined) expect(seen.body).toMatchObject(has as object);
    if (text !== undefined) expect(seen.message).toBe(text);
    if (outputs !== undefined) expect(seen.outputs?.map(inSingle)).toEqual(outputs.map(inSingle));
    // of events, which carry an id and a time
    if (body !== undefined && 'specversion' in Object(body)) expect(seen.body).toMatchObject(body as object);
    else if (body !== undefined) expect(seen.body).toEqual(body);
    if (says !== undefined) expect(seen.message).toContain(says);
    if (status !== 200 && status !== 'OK') expect(says, 'a refusal is known by what it says').toBeDefined();
    if (one.theirs !== undefined) expect(one.theirs.status, 'theirs is told where it differs').not.toBe(status);
  });

  test(`${system}: the gateway is as ready after all of them as before`, async () => {
    expect((await fetch(`${gateway.url}/v2/health/ready`)).status).toBe(200);
    expect(gateway.child.exitCode).toBe(null);
  });
});

type Seen = { status: number | string; message: string; headers?: Headers; body?: unknown; outputs?: Output[] };

async function send(url: string, one: HttpCase): Promise<Seen> {
  const [method, path] = one.http.split(' ') as [string, string];
  const headers = new Headers(one.headers);
  const json = one.json === undefined ? textOf(one) : JSON.stringify(one.json);
  let body = Buffer.concat([Buffer.from(json), ...(one.bytes ?? []).map(bytesOf)]);
  if (one.sizeInType !== undefined) {
    headers.set('content-type', `${one.sizeInType};json-header-size=${Buffer.byteLength(json)}`);
  } else if (one.bytes !== undefined && !headers.has(JSON_SIZE)) headers.set(JSON_SIZE, `${Buffer.byteLength(json)}`);
  if (one.compress !== undefined) {
    headers.set('content-encoding', one.compress);
    body = one.compress === 'gzip' ? gzipSync(body) : deflateSync(body);
  }
  const response = await fetch(url + path, {
    method,
    headers,
    ...(method === 'GET' || method === 'HEAD' ? {} : { body: one.chunked ? inPieces(body) : body, duplex: 'half' }),
  } as RequestInit);
  const bytes = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? '';
  const announced = response.headers.get(JSON_SIZE) ?? SIZE_IN_TYPE.exec(type)?.[1];
  const size = Number(announced ?? bytes.length);
  const message = bytes.subarray(0, size).toString();
  const { status, headers: answered } = response;
  if ((!/json(?:;|$)/.test(type) && announced === undefined) || message.trim() === '')
    return { status, message, headers: answered };
  const answer = JSON.parse(message.replace(BARE_WORDS, '"$1"')) as { outputs?: WireOutput[]; error?: unknown };
  return {
    status,
    headers: answered,
    message: typeof answer.error === 'string' ? answer.error : message,
    body: answer,
    ...(one.answer.outputs === undefined ? {} : { outputs: readOutputs(answer.outputs ?? [], bytes.subarray(size)) }),
  };
}

function textOf({ text, nested }: HttpCase): string {
  if (nested === undefined) return text ?? '';
  const [before, depth, inner, after] = nested;
  return before + '['.repeat(depth) + inner + ']'.repeat(depth) + after;
}

async function call(client: TestClient, one: GrpcCase): Promise<Seen> {
  try {
    const raw = one.raw === undefined ? {} : { raw_input_contents: one.raw.map(bytesOf) };
    const { value } = await client.call(`${OIP}/${one.grpc}`, { ...one.message, ...raw });
    const given = (value['outputs'] as WireOutput[]) ?? [];
    const parts = (value['raw_output_contents'] as Uint8Array[]) ?? [];
    const outputs = given.map(({ name, datatype, shape }, i) => ({
      name,
      datatype,
      shape: shape.map(Number),
      data: elementsOf(datatype, Buffer.from(parts[i]!)),
      binary: true,
    }));
    return { status: 'OK', message: '', body: value, outputs };
  } catch (error) {
    const { code, details } = error as grpc.ServiceError;
    return { status: grpc.status[code], message: details };
  }
}

/** FP32 may be printed with as many digits as one likes; what counts is the number they round to. */
function inSingle(output: Output): Output {
  const { datatype, data, binary = false } = output;
  return { ...output, binary, data: datatype === 'FP32' ? (data as number[]).map(Math.fround) : data };
}

type WireOutput = {
  name: string;
  datatype: string;
  shape: (number | string)[];
  data?: unknown;
  parameters?: { binary_data_size?: number };
};

function readOutputs(outputs: readonly WireOutput[], rest: Buffer): Output[] {
  let at = 0;
  const read = outputs.map(({ name, datatype, shape, data, parameters }): Output => {
    const size = parameters?.binary_data_size;
    if (size === undefined) return { name, datatype, shape: shape.map(Number), data, binary: false };
    const elements = elementsOf(datatype, rest.subarray(at, at + size));
    at += size;
    return { name, datatype, shape: shape.map(Number), data: elements, binary: true };
  });
  expect(at, 'bytes behind the JSON').toBe(rest.length);
  return read;
}

/** Little-endian, as the extension has it; 16-bit floats stay hexadecimal digits. */
function elementsOf(datatype: string, bytes: Buffer): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fours = Array.from({ length: bytes.length >> 2 }, (_, i) => i * 4);
  if (datatype === 'INT32') return fours.map((at) => view.getInt32(at, true));
  if (datatype === 'FP32') return fours.map((at) => view.getFloat32(at, true));
  if (datatype !== 'BYTES') return bytes.toString('hex');
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = view.getUint32(at, true);
    texts.push(bytes.toString('utf8', at + 4, at + 4 + size));
    at += 4 + size;
  }
  return texts;
}

function bytesOf(part: Bytes): Buffer {
  if ('INT32' in part) return Buffer.from(Int32Array.from(part.INT32).buffer);
  if ('FP32' in part) return Buffer.from(Float32Array.from(part.FP32).buffer);
  if ('HEX' in part) return Buffer.from(part.HEX, 'hex');
  if ('TEXT' in part) return Buffer.from(part.TEXT);
  return Buffer.concat(
    part.BYTES.map((text) => {
      const size = Buffer.alloc(4);
      size.writeUInt32LE(Buffer.byteLength(text));
      return Buffer.concat([size, Buffer.from(text)]);
    }),
  );
}

/** Of unknown length to fetch, so sent chunked. */
function inPieces(body: Buffer): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < body.length; at += 20) controller.enqueue(body.subarray(at, at + 20));
      controller.close();
    },
  });
}
