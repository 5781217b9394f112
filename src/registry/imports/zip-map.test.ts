import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { modelBytes } from '../../../test/fixtures/registry.ts';
import { readOnnxModel } from './onnx-reader.ts';
import { signatureOfModel } from './onnx-signature.ts';
import { bytesSource } from './protobuf-cursor.ts';
import { rewriteZipMaps } from './zip-map.ts';

describe('a model that ends in a ZipMap', () => {
  it.each(['zipmap.onnx', 'zipmap-strings.onnx'])(
    '%s answers with the scores as a tensor of the same name',
    async (name) => {
      const before = modelBytes(name);
      const kept = Buffer.from(before);
      const { signature } = signatureOfModel(await readOnnxModel(bytesSource(before)), name);
      const after = rewriteZipMaps(before);
      expect(before.equals(kept)).toBe(true);

      const session = await InferenceSession.create(after);
      expect(session.outputNames).toEqual(signature.outputs.map((output) => output.name));
      const columns = signature.inputs[0]!.shape[1]!;
      const rows = 4;
      const data = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 7));
      const answer = await session.run({ [signature.inputs[0]!.name]: new Tensor('float32', data, [rows, columns]) });
      const scores = signature.outputs.find((output) => output.labels)!;
      const label = signature.outputs.find((output) => !output.labels)!;
      const tensor = answer[scores.name]!;
      const classes = scores.labels!.length;
      expect(tensor.type).toBe('float32');
      expect(tensor.dims).toEqual([rows, classes]);
      for (let row = 0; row < rows; row++) {
        const row_ = Array.from(tensor.data as Float32Array).slice(row * classes, (row + 1) * classes);
        expect(row_.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 5);
        // The labels are in the order of the columns: the highest score's is the one the model names.
        expect(scores.labels![row_.indexOf(Math.max(...row_))]).toBe(
          String((answer[label.name]!.data as string[])[row]),
        );
      }
      await session.release();
    },
  );

  it('rewriting twice changes nothing more', () => {
    const once = rewriteZipMaps(modelBytes('zipmap.onnx'));
    expect(rewriteZipMaps(once)).toBe(once);
  });

  it('other models come back as the same bytes', () => {
    for (const name of ['add.onnx', 'mixed.onnx', 'sequence.onnx', 'optional.onnx', 'loop-run.onnx']) {
      const bytes = modelBytes(name);
      expect(rewriteZipMaps(bytes)).toBe(bytes);
    }
  });
});
