import { createRequire } from 'node:module';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { SlipwayError } from '../../base/errors.ts';
import { ProtobufFault } from '../../registry/imports/protobuf-cursor.ts';
import { rewriteZipMaps } from '../../registry/imports/zip-map.ts';
import { howToRaise } from '../../registry/limits.ts';
import type { Datatype } from '../../registry/signature.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Engine, LoadedModel, LoadOptions } from './engine.ts';
import { cleanNativeMessage } from './native-message.ts';
import { withoutDefaults } from './optional-inputs.ts';

type Ort = typeof import('onnxruntime-node');

const ORT_TYPES: Readonly<Record<Datatype, string | null>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  BF16: null, // the Node binding knows no such tensor: "Unsupported data type: 16"
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};

/** ONNX models by ONNX Runtime, on the CPU. */
export const onnxRuntimeEngine: Engine = {
  name: 'onnxruntime',
  load,
};

async function load({ entryBytes, signature, threads }: LoadOptions): Promise<LoadedModel> {
  for (const { name, datatype } of [...signature.inputs, ...signature.outputs]) {
    if (ORT_TYPES[datatype] === null) {
      throw new SlipwayError(
        'model_unsupported',
        `${name} is ${datatype}, which the engine onnxruntime cannot pass in or out`,
        {
          hint: 'Export the model with FP32 or FP16 inputs and outputs; types inside the graph do not matter.',
        },
      );
    }
  }
  const ort = runtime();
  const bytes = withTensorOutputs(entryBytes);
  const session = await createSession(ort, bytes, threads);
  const outputNames = signature.outputs.map((output) => output.name);
  const unknown =
    outputNames.find((name) => !session.outputNames.includes(name)) ??
    signature.inputs.find((input) => input.optional !== true && !session.inputNames.includes(input.name))?.name;
  if (unknown !== undefined)
    throw new SlipwayError('model_invalid', `The signature names ${unknown}, which the model does not have`);

  const optional = new Set(signature.inputs.filter((input) => input.optional === true).map((input) => input.name));
  const overriding = createOverridingSessions(ort, optional.size > 0 ? bytes : null, threads);

  return {
    async run(inputs) {
      const feeds: Record<string, OrtTensor> = {};
      const given =
        optional.size === 0 ? [] : inputs.filter((input) => optional.has(input.name)).map((input) => input.name);
      const chosen = given.length === 0 ? session : await overriding.get(given);
      for (const input of inputs) feeds[input.name] = toOrt(ort, input);
      let results: InferenceSession.OnnxValueMapType;
      try {
        results = await chosen.run(feeds, outputNames);
      } catch (error) {
        throw new Error(cleanNativeMessage((error as Error).message));
      }
      return signature.outputs.map((output) =>
        fromOrt(output.name, output.datatype, results[output.name] as OrtTensor),
      );
    },
    async close() {
      await session.release();
      await overriding.close();
    },
  };
}

/** Maps cannot cross the Node binding: ZipMap outputs become the tensors they were made of. */
function withTensorOutputs(bytes: Uint8Array): Uint8Array {
  try {
    return rewriteZipMaps(bytes);
  } catch (error) {
    if (error instanceof ProtobufFault) throw notAModel();
    throw error;
  }
}

/**
 * Sessions in which some defaults were taken out, one for each set of optional inputs that callers give. Made at the first such call,
 * for that is seldom: most models with defaults have them because the exporter lists its weights as inputs.
 * @param bytes null when the model has no optional input
 */
function createOverridingSessions(ort: Ort, bytes: Uint8Array | null, threads: number) {
  const sessions = new Map<string, Promise<InferenceSession>>();
  return {
    get(names: readonly string[]): Promise<InferenceSession> {
      const key = JSON.stringify([...names].sort());
      let session = sessions.get(key);
      if (session === undefined) {
        if (sessions.size >= MOST_OVERRIDING_SESSIONS)
          throw new Error('too many different sets of optional inputs are in use');
        session = createSession(ort, withoutDefaults(bytes!, names), threads);
        sessions.set(key, session);
      }
      return session;
    },
    async close(): Promise<void> {
      for (const session of sessions.values()) await session.then((made) => made.release()).catch(() => {});
    },
  };
}

const MOST_OVERRIDING_SESSIONS = 8;

async function createSession(ort: Ort, bytes: Uint8Array, threads: number): Promise<InferenceSession> {
  try {
    return await ort.InferenceSession.create(bytes, {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      // A pattern of memory is kept for every shape that was ever run, and batches come in all sizes.
      enableMemPattern: false,
      logSeverityLevel: 3,
    });
  } catch (error) {
    throw loadError((error as Error).message);
  }
}

/** Told apart by the words of ONNX Runtime 1.30; what matches nothing is a model that cannot be read. */
function loadError(native: string): SlipwayError {
  const message = cleanNativeMessage(native);
  if (/protobuf parsing failed|data pointer is null|does not have a graph|Protobuf.*fail/i.test(native)) {
    return notAModel();
  }
  if (/No Op registered|not a registered function|Could not find an implementation|NOT_IMPLEMENTED/i.test(native)) {
    return new SlipwayError('model_unsupported', `ONNX Runtime lacks an operator: ${message}`, {
      hint: 'Export the model with standard operators (domains ai.onnx and ai.onnx.ml).',
    });
  }
  if (/Unsupported model IR version|opset/i.test(native)) {
    return new SlipwayError('model_unsupported', `The model is too new for ONNX Runtime: ${message}`, {
      hint: 'Export the model with an older target opset.',
    });
  }
  if (/External data|external_data/i.test(native)) {
    return new SlipwayError('model_invalid', `The external data of the model cannot be read: ${message}`, {
      hint: 'Push the folder that holds the model together with its data files.',
    });
  }
  if (/Failed to allocate memory|bad_alloc/i.test(native)) {
    return new SlipwayError('model_unsupported', 'The model needs more memory than it is allowed', {
      hint: howToRaise('memoryBytes'),
    });
  }
  return new SlipwayError('model_invalid', `ONNX Runtime cannot load the model: ${message}`);
}

function notAModel(): SlipwayError {
  return new SlipwayError('model_invalid', 'The file is not an ONNX model, or a part of it is missing', {
    hint: 'Export the model again and compare the size of the file with what was uploaded.',
  });
}

function toOrt(ort: Ort, tensor: Tensor): OrtTensor {
  const { datatype, data } = tensor;
  if (datatype === 'BYTES') {
    for (const text of data as readonly string[]) {
      // Measured: the binding hands C strings over, so 'b\0c' would reach the model as 'b'.
      if (text.includes('\0'))
        throw new Error(`a string of ${tensor.name} has a NUL character, after which the engine would cut it off`);
    }
  } else if (datatype === 'BOOL') {
    for (const byte of data as Uint8Array) {
      if (byte > 1) throw new Error(`${tensor.name} holds ${byte}, which is neither true (1) nor false (0)`);
    }
  }
  return new ort.Tensor(ORT_TYPES[datatype] as 'float32', data as Float32Array, tensor.shape);
}

function fromOrt(name: string, datatype: Datatype, value: OrtTensor): Tensor {
  if (value.type !== ORT_TYPES[datatype])
    throw new Error(`the output ${name} is ${value.type}, not ${datatype} as its signature says`);
  return { name, datatype, shape: value.dims, data: value.data as Tensor['data'] };
}

let loaded: Ort | null = null;

/**
 * ONNX Runtime's native library, loaded when the first model is: about 45 ms and 10 MB, and 25 MB more with the first session.
 */
function runtime(): Ort {
  if (loaded !== null) return loaded;
  const half = Object.getOwnPropertyDescriptor(globalThis, 'Float16Array');
  // Where the language has Float16Array, onnxruntime-common turns FP16 data into one, and the native binding (N-API 6) takes it for
  // an array of no length. It looks for the type once, at its first tensor: hidden until then, FP16 stays the raw 16 bits.
  Reflect.deleteProperty(globalThis, 'Float16Array');
  try {
    const ort = createRequire(import.meta.url)('onnxruntime-node') as Ort;
    ort.env.logLevel = 'error';
    new ort.Tensor('bool', new Uint8Array(1), [1]);
    loaded = ort;
    return ort;
  } finally {
    if (half !== undefined) Object.defineProperty(globalThis, 'Float16Array', half);
  }
}
