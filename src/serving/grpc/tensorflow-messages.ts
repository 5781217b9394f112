/** Messages of TensorFlow Serving's PredictionService. Predict, the hot one, is read by hand; the others by the tables of the descriptor set. */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import type { InferRequest } from '../protocols/protocol.ts';
import { examplesToRequest, labelsOf, regressedOf, scoresOf } from '../protocols/tensorflow-examples.ts';
import { METHODS, SIGNATURE_NAME } from '../protocols/tensorflow-names.ts';
import { servableNotFound } from '../protocols/tensorflow-serving.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import { numbersOfHalf } from '../tensors/half.ts';
import { assessSizes, type InputTarget, invalidInput, rowsOf } from '../tensors/input-check.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { OWN_STATUS, STATUS } from './grpc-status.ts';
import { frameMessage } from './message-frame.ts';
import type { MessageForm, Prediction } from './predictions.ts';
import type { Message, MessageCodec } from './protobuf/message-codec.ts';
import { ProtobufFault, ProtobufReader, WIRE } from './protobuf/reader.ts';
import { ProtobufWriter } from './protobuf/writer.ts';
import { readTensorProto, writeTensorProto } from './tensorflow-tensors.ts';

const PACKAGE = 'tensorflow.serving.';
const OBSERVED_AS = 'tensorflow-serving-grpc';
const MAX_ITEMS = 4096;

// ---- ModelSpec

export type ModelSpec = {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly label?: string;
  readonly signature: string;
};

/** @param spec a decoded ModelSpec @throws SlipwayError `invalid_request` */
export function readModelSpec(spec: Message | undefined): ModelSpec {
  if (spec === undefined || typeof spec['name'] !== 'string')
    throw new SlipwayError('invalid_request', 'Missing ModelSpec');
  const version = spec['version'] as Message | undefined;
  const label = spec['version_label'] as string | undefined;
  return {
    modelName: spec['name'],
    modelVersion: version === undefined ? '' : `${(version['value'] as number | bigint | undefined) ?? 0}`,
    ...(label === undefined ? {} : { label }),
    signature: (spec['signature_name'] as string | undefined) ?? '',
  };
}

/** @param status of the refusal: Predict has another than the rest */
function assertSignature(
  { signature }: ModelSpec,
  refusal: (name: string) => string,
  status: number = STATUS.invalidArgument,
): void {
  if (signature === '' || signature === SIGNATURE_NAME) return;
  throw new SlipwayError('invalid_request', refusal(signature.slice(0, 200)), { extra: { [OWN_STATUS]: status } });
}

/** Not found is told in TensorFlow Serving's words; other errors in ours. */
function tell(error: SlipwayError, wire: ModelSpec | null): SlipwayError {
  if (wire === null) return error;
  if (error.code === 'version_not_found' && wire.label !== undefined) {
    return new SlipwayError('invalid_request', `Unrecognized servable version label: ${wire.label}`);
  }
  if (error.code !== 'endpoint_not_found' && error.code !== 'version_not_found') return error;
  const version = wire.modelVersion === '' ? undefined : wire.modelVersion;
  return new SlipwayError(error.code, servableNotFound(wire.modelName, version));
}

export { tell as tellNotFound };

function specMessage({ modelName, version }: Pick<Prediction<ModelSpec>, 'modelName' | 'version'>): Message {
  return { name: modelName, version: { value: Number(version) }, signature_name: SIGNATURE_NAME };
}

// ---- Predict

type WirePredict = ModelSpec & {
  /** Views on the message. */
  readonly inputs: ReadonlyMap<string, Buffer>;
  readonly filter: readonly string[];
};

export function predictForm(codec: MessageCodec): MessageForm<WirePredict> {
  return {
    protocol: OBSERVED_AS,
    read: (message) => readPredict(message, codec),
    parse: parsePredict,
    write: writePredict,
    tell,
  };
}

function readPredict(message: Buffer, codec: MessageCodec): WirePredict {
  const reader = new ProtobufReader();
  const inputs = new Map<string, Buffer>();
  const filter: string[] = [];
  let spec: Message | undefined;
  try {
    reader.start(message);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === 10) spec = codec.decode(`${PACKAGE}ModelSpec`, reader.view());
      else if (tag === 18) {
        const outer = reader.open();
        let name = '';
        let tensor: Buffer = Buffer.alloc(0);
        for (let field = reader.tag(); field !== 0; field = reader.tag()) {
          if (field === 10) name = reader.text();
          else if (field === 18) tensor = reader.view();
          else reader.skip(field);
        }
        reader.close(outer);
        inputs.set(name, tensor);
      } else if (tag === 26) filter.push(reader.text());
      else reader.skip(tag);
      if (inputs.size > MAX_ITEMS || filter.length > MAX_ITEMS)
        throw new ProtobufFault(`it has more than ${MAX_ITEMS} items`);
    }
  } catch (error) {
    throw error instanceof ProtobufFault ? noMessage('PredictRequest', error) : error;
  }
  return { ...readModelSpec(spec), inputs, filter };
}

function noMessage(name: string, fault: ProtobufFault): SlipwayError {
  return new SlipwayError('invalid_request', `The message is no ${name}: ${fault.message}`, {
    hint: 'Use the .proto files that reflection gives.',
  });
}

function parsePredict(wire: WirePredict, target: InputTarget): InferRequest {
  assertSignature(wire, (name) => `Serving signature key "${name}" not found.`, STATUS.failedPrecondition);
  const { inputs: specs, outputs: given } = target.signature;
  assertNames(wire, target);
  const faults: FieldError[] = [];
  const inputs: Tensor[] = [];
  const encoded: EncodedInput[] = [];
  try {
    for (const spec of specs) {
      const bytes = wire.inputs.get(spec.name);
      if (bytes === undefined) continue;
      const read = readTensorProto(bytes, spec, `/inputs/${spec.name}`, faults);
      if (read !== null && 'files' in read) encoded.push(read);
      else if (read !== null) inputs.push(read);
    }
  } catch (error) {
    throw error instanceof ProtobufFault ? noMessage('PredictRequest', error) : error;
  }
  if (faults.length === 0 && encoded.length === 0)
    assessSizes(target, inputs, (at) => `/inputs/${inputs[at]!.name}`, faults);
  if (faults.length > 0) throw invalidInput(target, faults);
  const outputs =
    wire.filter.length === 0
      ? null
      : readFilter(
          wire.filter,
          given.map(({ name }) => name),
        );
  if (encoded.length === 0) return { id: null, inputs, rows: rowsOf(inputs), outputs };
  return { id: null, inputs, rows: encoded[0]!.files.length, outputs, encoded };
}

/** Inputs too many or too few, in the words of predict_util.cc. */
function assertNames({ inputs }: WirePredict, { signature }: InputTarget): void {
  const wanted = signature.inputs.map(({ name }) => name).sort();
  const sent = [...inputs.keys()].sort();
  const extra = sent.filter((name) => !wanted.includes(name));
  const missing = signature.inputs
    .filter(({ name, optional }) => optional !== true && !inputs.has(name))
    .map(({ name }) => name)
    .sort();
  if (extra.length === 0 && missing.length === 0) return;
  const fields = [
    ...extra.map((name) => ({ pointer: `/inputs/${name.slice(0, 100)}`, message: 'is not an input' })),
    ...missing.map((name) => ({ pointer: `/inputs/${name}`, message: 'is missing' })),
  ].slice(0, MAX_FIELD_ERRORS);
  throw new SlipwayError(
    'invalid_input',
    `input size does not match signature: ${sent.length}!=${wanted.length} len({${sent.join(',').slice(0, 500)}}) != len({${wanted.join(',')}}). ` +
      `Sent extra: {${extra.join(',').slice(0, 500)}}. Missing but required: {${missing.join(',')}}.`,
    { fields },
  );
}

function readFilter(filter: readonly string[], known: readonly string[]): string[] {
  const names: string[] = [];
  for (const name of filter) {
    if (!known.includes(name)) {
      const set = [...known].sort().join(',');
      throw new SlipwayError(
        'invalid_request',
        `output tensor alias not found in signature: ${name.slice(0, 200)} Outputs expected to be in the set {${set}}.`,
      );
    }
    if (names.includes(name)) throw new SlipwayError('invalid_request', `duplicate output tensor alias: ${name}`);
    names.push(name);
  }
  return names;
}

function writePredict(prediction: Prediction<WirePredict>, outputs: readonly Tensor[]): Buffer {
  const names = prediction.request!.outputs;
  const chosen = names === null ? outputs : outputs.filter(({ name }) => names.includes(name));
  const writer = new ProtobufWriter();
  for (const output of chosen) {
    const entry = new ProtobufWriter();
    entry.tag(1, WIRE.bytes);
    entry.lengthAndBytes(Buffer.from(output.name));
    entry.tag(2, WIRE.bytes);
    entry.lengthAndBytes(writeTensorProto(output));
    writer.tag(1, WIRE.bytes);
    writer.lengthAndBytes(entry.finish());
  }
  const version = new ProtobufWriter();
  version.tag(1, WIRE.varint);
  version.varint32(Number(prediction.version));
  const spec = new ProtobufWriter();
  for (const [field, bytes] of [
    [1, Buffer.from(prediction.modelName)],
    [2, version.finish()],
    [3, Buffer.from(SIGNATURE_NAME)],
  ] as const) {
    spec.tag(field, WIRE.bytes);
    spec.lengthAndBytes(bytes);
  }
  writer.tag(2, WIRE.bytes);
  writer.lengthAndBytes(spec.finish());
  return frameMessage(writer.finish());
}

// ---- Classify, Regress, MultiInference

/** Examples become objects before they become tensors: larger messages go to Predict. */
const MOST_EXAMPLE_BYTES = 4 * 1024 * 1024;

type Method = 'classify' | 'regress';
type WireExamples = ModelSpec & {
  readonly examples: readonly Record<string, unknown>[];
  readonly methods: readonly Method[];
};

function decodeExamples(codec: MessageCodec, type: string, message: Buffer): Message {
  if (message.length > MOST_EXAMPLE_BYTES) {
    throw new SlipwayError('too_large', `A ${type} of ${message.length} bytes is larger than 4 MiB`, {
      hint: 'Send tensors with Predict.',
    });
  }
  try {
    return codec.decode(PACKAGE + type, message);
  } catch (error) {
    if (error instanceof ProtobufFault) throw new SlipwayError('invalid_request', error.message);
    throw error;
  }
}

function readInput(input: Message | undefined): Record<string, unknown>[] {
  const plain = input?.['example_list'] as Message | undefined;
  const withContext = input?.['example_list_with_context'] as Message | undefined;
  const list = ((withContext ?? plain)?.['examples'] ?? []) as Message[];
  if (list.length === 0) throw new SlipwayError('invalid_request', 'Input is empty.');
  const context = withContext?.['context'] === undefined ? {} : featuresOf(withContext['context'] as Message);
  return list.map((example) => ({ ...context, ...featuresOf(example) }));
}

function featuresOf(example: Message): Record<string, unknown> {
  const features = ((example['features'] as Message | undefined)?.['feature'] ?? {}) as Record<string, Message>;
  return Object.fromEntries(
    Object.entries(features).map(([name, feature]) => {
      const [list] = Object.values(feature ?? {}) as Message[];
      const values = (list?.['value'] ?? []) as unknown[];
      return [name, values.map((value) => (Buffer.isBuffer(value) ? { b64: value.toString('base64') } : value))];
    }),
  );
}

/** @param type ClassificationRequest or RegressionRequest */
export function examplesForm(codec: MessageCodec, method: Method): MessageForm<WireExamples> {
  const type = method === 'classify' ? 'Classification' : 'Regression';
  return {
    protocol: OBSERVED_AS,
    read(message) {
      const request = decodeExamples(codec, `${type}Request`, message);
      return {
        ...readModelSpec(request['model_spec'] as Message),
        examples: readInput(request['input'] as Message),
        methods: [method],
      };
    },
    parse: parseExamples,
    write(prediction, outputs) {
      const answer = { model_spec: specMessage(prediction), result: resultOf(method, prediction, outputs) };
      return frameMessage(codec.encode(`${PACKAGE}${type}Response`, answer));
    },
    tell,
  };
}

/** Several methods over the same examples of one model: one run answers them all. */
export function multiInferenceForm(codec: MessageCodec): MessageForm<WireExamples> {
  return {
    protocol: OBSERVED_AS,
    read(message) {
      const request = decodeExamples(codec, 'MultiInferenceRequest', message);
      const tasks = ((request['tasks'] ?? []) as Message[]).map((task) => ({
        spec: readModelSpec(task['model_spec'] as Message),
        method: methodOf(task['method_name']),
      }));
      const [first] = tasks;
      if (first === undefined)
        throw new SlipwayError('invalid_request', 'Inference request must have at least one task.');
      for (const { spec } of tasks) {
        if (
          spec.modelName === first.spec.modelName &&
          spec.modelVersion === first.spec.modelVersion &&
          spec.label === first.spec.label
        )
          continue;
        throw new SlipwayError(
          'invalid_request',
          'All ModelSpecs in a MultiInferenceRequest must access the same model name.',
        );
      }
      const methods = tasks.map(({ method }) => method);
      if (new Set(methods).size < methods.length) {
        throw new SlipwayError('invalid_request', `Duplicate evaluation of signature: ${SIGNATURE_NAME}`);
      }
      for (const { spec } of tasks) assertSignature(spec, (name) => `No signature was found with the name: ${name}`);
      return { ...first.spec, examples: readInput(request['input'] as Message), methods };
    },
    parse: parseExamples,
    write(prediction, outputs) {
      const results = prediction.wire!.methods.map((method) => ({
        model_spec: specMessage(prediction),
        [method === 'classify' ? 'classification_result' : 'regression_result']: resultOf(method, prediction, outputs),
      }));
      return frameMessage(codec.encode(`${PACKAGE}MultiInferenceResponse`, { results }));
    },
    tell,
  };
}

function methodOf(name: unknown): Method {
  if (name === METHODS.classify) return 'classify';
  if (name === METHODS.regress) return 'regress';
  throw new SlipwayError(
    'unsupported_option',
    `Unsupported signature method_name: ${String(name ?? '').slice(0, 200)}`,
  );
}

function parseExamples(wire: WireExamples, target: InputTarget): InferRequest {
  assertSignature(wire, (name) => `No signature was found with the name: ${name}`);
  for (const method of wire.methods) {
    if (method === 'classify') scoresOf(target.signature);
    else regressedOf(target.signature);
  }
  return examplesToRequest(wire.examples, target);
}

function resultOf(method: Method, { target }: Prediction<WireExamples>, outputs: readonly Tensor[]): Message {
  const { signature } = target!;
  const spec = method === 'classify' ? scoresOf(signature) : regressedOf(signature);
  const output = outputs.find(({ name }) => name === spec.name)!;
  const values = numbersOf(output);
  if (method === 'regress') return { regressions: values.map((value) => ({ value })) };
  const width = output.shape[1]!;
  const label = labelsOf(signature, output, outputs);
  const classes = values.map((score, at) => ({ label: label(at), score }));
  const rows = Array.from({ length: output.shape[0]! }, (_, row) => ({
    classes: classes.slice(row * width, (row + 1) * width),
  }));
  return { classifications: rows };
}

function numbersOf({ datatype, data }: Tensor): number[] {
  if (datatype === 'FP16' || datatype === 'BF16') return [...numbersOfHalf(datatype, data as Uint16Array)];
  return Array.from(data as Float32Array);
}
