/** A folder that TensorFlow saved: saved_model.pb with its signatures, variables beside it. */
import { SlipwayError } from '../../../base/errors.ts';
import type { Datatype, TensorSpec } from '../../signature.ts';
import type { StoredFile } from '../../validation.ts';
import type { Importer } from '../importer.ts';
import {
  createProtobufCursor,
  type Field,
  fieldsIn,
  int64,
  type ProtobufCursor,
  ProtobufFault,
} from '../protobuf-cursor.ts';
import { openSource } from '../stored-source.ts';
import type { KnownSignature } from './given-signature.ts';
import { LARGE_LIBRARY_BYTES, libraryModel } from './library-model.ts';

const FILE = 'saved_model.pb';
const DEFAULT = 'serving_default';
const INITIALISER = '__saved_model_init_op';

/** Fields of saved_model.proto, meta_graph.proto and tensor_shape.proto. */
const SAVED_MODEL = { metaGraph: 2 };
const META_GRAPH = { signature: 5 };
const ENTRY = { key: 1, value: 2 };
const SIGNATURE = { inputs: 1, outputs: 2 };
const TENSOR_INFO = { dtype: 2, shape: 3 };
const SHAPE = { dim: 2, unknownRank: 3 };
const DIM = { size: 1 };

/** DataType of types.proto. */
const DATATYPES: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'FP64',
  3: 'INT32',
  4: 'UINT8',
  5: 'INT16',
  6: 'INT8',
  7: 'BYTES',
  9: 'INT64',
  10: 'BOOL',
  17: 'UINT16',
  19: 'FP16',
  22: 'UINT32',
  23: 'UINT64',
};

type Named = { readonly name: string; readonly known: KnownSignature };

export const savedModel: Importer = {
  format: 'savedmodel',
  detect: ({ byPath }) => byPath.get(FILE) ?? null,

  describe: () => ({
    what: 'a SavedModel of TensorFlow',
    code: 'runs its graph, by TensorFlow, which may read and write files',
    withoutCode: 'Convert it, python -m tf2onnx.convert --saved-model <folder> --output model.onnx, and deploy that.',
  }),

  read(artifact, entry) {
    const { name, known } = readSignature(entry);
    return libraryModel(artifact, entry, {
      loader: 'tensorflow',
      options: { kind: 'savedmodel', signature: name },
      known,
      needs: ['tensorflow-cpu', 'numpy'],
      libraryBytes: LARGE_LIBRARY_BYTES,
    });
  },
};

function pick(names: readonly string[]): string {
  const one = names.find((name) => name === DEFAULT) ?? (names.length === 1 ? names[0] : undefined);
  if (one !== undefined) return one;
  throw new SlipwayError(
    'model_invalid',
    names.length === 0
      ? `${FILE} has no signature, so nothing says what is to be called`
      : `${FILE} has the signatures ${names.join(', ')}, and none is called ${DEFAULT}`,
    {
      hint: `Save it with model.export("folder") of Keras, or tf.saved_model.save(module, "folder", signatures={"${DEFAULT}": function}).`,
    },
  );
}

/** The signature that is served. Others may have tensors of kinds that nobody could send. */
function readSignature(entry: StoredFile): Named {
  const source = openSource(entry);
  try {
    const cursor = createProtobufCursor(source);
    const whole = { start: 0, end: source.sizeBytes };
    const found = new Map(
      all(cursor, whole, SAVED_MODEL.metaGraph)
        .slice(0, 1)
        .flatMap((graph) => all(cursor, graph, META_GRAPH.signature))
        .map((field) => entryOf(cursor, field))
        .filter(([name]) => name !== INITIALISER),
    );
    const name = pick([...found.keys()]);
    const value = found.get(name) ?? null;
    const side = (number: number): TensorSpec[] =>
      value === null ? [] : all(cursor, value, number).map((one) => tensorOf(cursor, one, name));
    return { name, known: { inputs: side(SIGNATURE.inputs), outputs: side(SIGNATURE.outputs), how: 'tensors' } };
  } catch (error) {
    if (!(error instanceof ProtobufFault)) throw error;
    throw new SlipwayError(
      'model_invalid',
      `${FILE} is not a whole SavedModel: ${error.message} (at byte ${error.position})`,
      { hint: 'Upload the folder again in case it was cut off; else save it again.', cause: error },
    );
  } finally {
    source.close();
  }
}

function tensorOf(cursor: ProtobufCursor, field: Field, signature: string): TensorSpec {
  const [name, info] = entryOf(cursor, field);
  let type = 0;
  let shape: number[] | null = [];
  for (const part of info === null ? [] : fieldsIn(cursor, info)) {
    if (part.number === TENSOR_INFO.dtype) type = part.low;
    else if (part.number === TENSOR_INFO.shape) shape = shapeOf(cursor, part);
  }
  const datatype = DATATYPES[type];
  if (datatype === undefined || shape === null) {
    const why =
      shape === null
        ? 'has no known number of dimensions'
        : `is of the type ${type} of TensorFlow, which is not taken here`;
    throw new SlipwayError('model_unsupported', `The tensor ${name} of the signature ${signature} ${why}`, {
      hint: 'Save it with a signature whose tensors have a type and dimensions.',
    });
  }
  return { name, datatype, shape };
}

function shapeOf(cursor: ProtobufCursor, field: Field): number[] | null {
  const sizes: number[] = [];
  for (const part of fieldsIn(cursor, field)) {
    if (part.number === SHAPE.unknownRank && part.low !== 0) return null;
    if (part.number !== SHAPE.dim) continue;
    const size = fieldsIn(cursor, part).find((one) => one.number === DIM.size);
    sizes.push(size === undefined ? 0 : Number(int64(size.low, size.high)));
  }
  return sizes;
}

/** An entry of a map. */
function entryOf(cursor: ProtobufCursor, field: Field): [string, Field | null] {
  let key = '';
  let value: Field | null = null;
  for (const part of fieldsIn(cursor, field)) {
    if (part.number === ENTRY.key && part.wire === 2) key = cursor.text(part);
    else if (part.number === ENTRY.value && part.wire === 2) value = part;
  }
  return [key, value];
}

function all(cursor: ProtobufCursor, span: { start: number; end: number }, number: number): Field[] {
  return fieldsIn(cursor, span).filter((field) => field.number === number && field.wire === 2);
}
