/** Bodies of predictions, in every form that the two protocols read. */
import { openInference } from '../../src/serving/protocols/open-inference.ts';
import { plain } from '../../src/serving/protocols/plain.ts';
import type { InferRoute, Protocol } from '../../src/serving/protocols/protocol.ts';
import type { InputTarget } from '../../src/serving/tensors/input-check.ts';
import { FILE_MODELS, MODELS, tryAll } from './request-check.ts';
import type { FuzzTarget } from './target.ts';

const WORDS = [
  '"inputs":',
  '"outputs":',
  '"parameters":',
  '"name":',
  '"shape":',
  '"datatype":',
  '"data":',
  '"id":',
  '"records":',
  '"X"',
  '"age"',
  '"plan"',
  '"B"',
  '"H"',
  '"D"',
  '"FP32"',
  '"INT64"',
  '"BYTES"',
  '"UINT8"',
  '"BOOL"',
  '"FP16"',
  '"FP64"',
  '[-1,3]',
  '[16,1152921504606846978]',
  '{"name":"Y"}',
  '"classification":1',
  '"binary_data":true',
  '"priority":1',
  '"timeout":5',
];

const routeOf = (protocol: Protocol): InferRoute =>
  protocol.routes.find((route): route is InferRoute => route.kind === 'infer')!;
const V2 = routeOf(openInference);
const PLAIN = routeOf(plain);

export const openInferenceJson: FuzzTarget = {
  name: 'open-inference',
  dictionary: WORDS,
  run: (input) => tryRoute(V2, MODELS, input, { 'content-type': 'application/json' }),
};

/** The first line is Inference-Header-Content-Length, what follows is the body. */
export const binaryTensors: FuzzTarget = {
  name: 'binary-tensors',
  dictionary: [
    ...WORDS,
    '"parameters":{"binary_data_size":12}',
    '"binary_data_output":true',
    '12\n',
    '0\n',
    '1e3\n',
    '-1\n',
  ],
  run(input) {
    const { line, rest } = splitLine(input);
    return tryRoute(V2, MODELS, rest, {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': line,
    });
  },
};

/** The first line is the Content-Type, what follows is the body. */
export const plainBodies: FuzzTarget = {
  name: 'plain',
  dictionary: [
    ...WORDS,
    'text/csv\n',
    'text/csv; header=absent\n',
    'application/x-ndjson\n',
    'application/vnd.apache.arrow.stream\n',
    'application/json\n',
    'image/png\n',
    'application/octet-stream\n',
    'multipart/form-data; boundary=b\n',
    '--b\r\n',
    '--b--\r\n',
    'Content-Disposition: form-data; name="image"; filename="a"\r\n',
    ',',
    '""',
    '"\n',
    ';charset=utf-16',
  ],
  run(input) {
    const { line, rest } = splitLine(input);
    return tryRoute(PLAIN, [...MODELS, ...FILE_MODELS], rest, { 'content-type': line });
  },
};

function splitLine(input: Buffer): { line: string; rest: Buffer } {
  const end = input.indexOf(10);
  if (end === -1) return { line: input.toString('latin1').slice(0, 200), rest: Buffer.alloc(0) };
  // Line ends and other controls cannot come in a header: the HTTP parser refuses them.
  const line = input
    .toString('latin1', 0, Math.min(end, 200))
    .replace(/[^\x20-\x7e\x80-\xff\t]/g, '')
    .trim();
  return { line, rest: input.subarray(end + 1) };
}

function tryRoute(
  route: InferRoute,
  models: readonly InputTarget[],
  body: Buffer,
  headers: Record<string, string>,
): string {
  return tryAll(models, (target) => {
    const call = { body: Buffer.from(body), headers };
    route.parsesFast?.(call, target);
    return route.parse(call, target);
  });
}
