/** Bodies and messages of TensorFlow Serving, KServe and TorchServe. */
import { DESCRIPTOR_SET } from '../../src/serving/grpc/descriptors.ts';
import type { MessageForm, WireMessage } from '../../src/serving/grpc/predictions.ts';
import { readDescriptorSet } from '../../src/serving/grpc/protobuf/descriptor-set.ts';
import { createMessageCodec } from '../../src/serving/grpc/protobuf/message-codec.ts';
import { examplesForm, multiInferenceForm, predictForm } from '../../src/serving/grpc/tensorflow-messages.ts';
import { kserveV1 } from '../../src/serving/protocols/kserve-v1.ts';
import type { InferRoute } from '../../src/serving/protocols/protocol.ts';
import { tensorflowServing } from '../../src/serving/protocols/tensorflow-serving.ts';
import { torchserve } from '../../src/serving/protocols/torchserve.ts';
import { FILE_MODELS, MODELS, tryAll } from './request-check.ts';
import type { FuzzTarget } from './target.ts';

const routesOf = (protocol: typeof kserveV1): InferRoute[] =>
  protocol.routes.filter((route): route is InferRoute => route.kind === 'infer');
const [PREDICT, CLASSIFY, REGRESS] = routesOf(tensorflowServing) as [InferRoute, InferRoute, InferRoute];
const EVENT = routesOf(kserveV1)[0]!;
const TORCHSERVE = routesOf(torchserve)[0]!;
/** By the first byte. */
const JSON_ROUTES: ReadonlyMap<number, InferRoute> = new Map([
  [0x63, CLASSIFY],
  [0x72, REGRESS],
  [0x65, EVENT],
]);

const WORDS = [
  '"instances":',
  '"inputs":',
  '"signature_name":"serving_default"',
  '"examples":',
  '"context":',
  '"X":',
  '"age":',
  '"plan":',
  '"image":',
  '"data":',
  '"body":',
  '{"b64":"aGk="}',
  'NaN',
  '-Infinity',
  '[[1,2,3]]',
  '{"X":[1,2,3]}',
  '"specversion":"1.0","id":"a","source":"b","type":"c"',
];

/** The first byte says which: p predict, c classify, r regress, e a CloudEvent. */
export const tensorflowJson: FuzzTarget = {
  name: 'tensorflow-json',
  dictionary: WORDS,
  run(input) {
    const route = JSON_ROUTES.get(input[0] ?? 0) ?? PREDICT;
    const type = route === EVENT ? 'application/cloudevents+json' : 'application/json';
    return tryAll([...MODELS, ...FILE_MODELS], (target) =>
      route.parse({ body: Buffer.from(input.subarray(1)), headers: { 'content-type': type } }, target),
    );
  },
};

/** The first line is the Content-Type. */
export const torchserveBodies: FuzzTarget = {
  name: 'torchserve',
  dictionary: [
    ...WORDS,
    'application/json\n',
    'application/octet-stream\n',
    'multipart/form-data; boundary=b\n',
    '--b\r\n',
    '--b--\r\n',
    'Content-Disposition: form-data; name="data"\r\n\r\n',
  ],
  run(input) {
    const end = input.indexOf(10);
    const line = input.toString('latin1', 0, Math.max(0, Math.min(end, 200))).replace(/[^\x20-\x7e]/g, '');
    return tryAll([...MODELS, ...FILE_MODELS], (target) => {
      const call = { body: Buffer.from(input.subarray(end + 1)), headers: { 'content-type': line } };
      TORCHSERVE.parsesFast?.(call, target);
      return TORCHSERVE.parse(call, target);
    });
  },
};

const codec = createMessageCodec(readDescriptorSet(Buffer.from(DESCRIPTOR_SET, 'base64')));
const FORMS = [
  predictForm(codec),
  examplesForm(codec, 'classify'),
  examplesForm(codec, 'regress'),
  multiInferenceForm(codec),
];

/** The first byte says which message. */
export const tensorflowGrpc: FuzzTarget = {
  name: 'tensorflow-grpc',
  dictionary: [
    'X',
    'age',
    'plan',
    'image',
    'serving_default',
    '\n\u0001X',
    '\u0008\u0001\u0012\u0004\u0012\u0002\u0008\u0001',
    'tensorflow/serving/regress',
  ],
  run(input) {
    const form = FORMS[(input[0] ?? 0) % FORMS.length] as unknown as MessageForm<WireMessage>;
    return tryAll([...MODELS, ...FILE_MODELS], (target) =>
      form.parse(form.read(Buffer.from(input.subarray(1))), target),
    );
  },
};
