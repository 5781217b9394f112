import { SlipwayError } from '../../base/errors.ts';
import type { StoredFile } from '../validation.ts';
import { checkExternalData } from './external-data.ts';
import { faulty } from './file-fault.ts';
import { assertAllowedName, detectFormat } from './file-format.ts';
import type { Importer } from './importer.ts';
import { inspect } from './inspect-file.ts';
import { shapesOf } from './named-signature.ts';
import { readOnnxModel } from './onnx-reader.ts';
import { signatureOfModel } from './onnx-signature.ts';
import type { OnnxModel } from './onnx-types.ts';
import { type ByteSource, ProtobufFault } from './protobuf-cursor.ts';
import { SLIPWAY_FILE } from './slipway-file.ts';
import { openSource } from './stored-source.ts';

/** protobuf cannot hold more in one message. */
const MAX_ONNX_BYTES = 2 ** 31 - 1;

/** One ONNX file, with its external data beside it. */
export const onnxImporter: Importer = {
  format: 'onnx',

  detect({ files, byPath, about }) {
    const named = about.entry === undefined ? undefined : byPath.get(about.entry);
    const isOnnx = (file: StoredFile): boolean => file.path.toLowerCase().endsWith('.onnx');
    if (named !== undefined) {
      if (!isOnnx(named)) return null;
      if (!named.path.includes('/')) return named;
      throw faulty(SLIPWAY_FILE, [{ pointer: '/entry', message: 'must lie at the top of the artifact' }]);
    }
    const top = files.filter((file) => !file.path.includes('/') && isOnnx(file));
    const entry = top.find((file) => file.path === 'model.onnx') ?? (top.length === 1 ? top[0] : undefined);
    if (entry) return entry;
    if (top.length === 0) return null;
    throw new SlipwayError(
      'model_invalid',
      `There are ${top.length} models: ${top.map((one) => one.path).join(', ')}`,
      {
        hint: 'Call the one to serve model.onnx, name it in slipway.yaml (entry: …), or push the others as models of their own.',
      },
    );
  },

  describe: (_artifact, entry) => ({ what: `${entry.path}, an ONNX model`, code: null }),

  async read({ files, byPath, about }, entry) {
    const source = openSource(entry);
    let model: OnnxModel;
    try {
      detectFormat(entry.path, source.head, entry.sizeBytes);
      assertOnnxSize(entry);
      model = await readModel(entry.path, source);
    } finally {
      source.close();
    }
    const weights = checkExternalData(model, entry, byPath);
    for (const file of files) {
      if (file === entry || weights.has(file.path)) assertAllowedName(file.path);
      else inspect(file);
    }
    const { signature, warnings } = signatureOfModel(model, entry.path, shapesOf(about));
    const tensorBytes =
      model.initializerBytes + [...weights].reduce((sum, path) => sum + byPath.get(path)!.sizeBytes, 0);
    // The file's bytes, the tensors in the session, and copies of them packed for the processor.
    return { signature, runtime: null, memoryBytes: entry.sizeBytes + 2 * tensorBytes, warnings };
  },
};

function assertOnnxSize(file: StoredFile): void {
  if (file.sizeBytes <= MAX_ONNX_BYTES) return;
  const gigabytes = (file.sizeBytes / 1024 ** 3).toFixed(1);
  throw new SlipwayError(
    'model_invalid',
    `${file.path} has ${gigabytes} GiB; one ONNX file cannot hold more than 2 GiB`,
    {
      hint: 'Save the weights beside it: onnx.save(model, "model.onnx", save_as_external_data=True), and push the folder.',
    },
  );
}

async function readModel(path: string, source: ByteSource): Promise<OnnxModel> {
  try {
    return await readOnnxModel(source);
  } catch (error) {
    if (!(error instanceof ProtobufFault)) throw error;
    const where = `${error.message} (at byte ${error.position} of ${source.sizeBytes})`;
    throw new SlipwayError('model_invalid', `${path} is not a whole ONNX model: ${where}`, {
      hint: 'Upload the file again in case it was cut off; else export it again and check it with onnx.checker.check_model("model.onnx").',
      cause: error,
    });
  }
}
