import { closestWord } from '../../base/closest-word.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { StoredFile } from '../validation.ts';
import { assessPath } from './artifact-path.ts';
import type { OnnxModel } from './onnx-types.ts';

/**
 * Makes sure that a model's external weights are files of its own artifact, and whole. Gives their paths. A runtime that opened any other path
 * would read files of the server.
 * @throws SlipwayError `model_invalid`, naming the location
 */
export function checkExternalData(
  model: OnnxModel,
  entry: StoredFile,
  byPath: ReadonlyMap<string, StoredFile>,
): Set<string> {
  const used = new Set<string>();
  for (const { tensor, location, endBytes } of model.external) {
    const path = location.replace(/^(\.\/)+/, '');
    const shown = JSON.stringify(location.slice(0, 200));
    const reason = assessPath(path);
    if (reason !== null) {
      throw new SlipwayError('model_invalid', `${entry.path} wants the weights of ${tensor} from ${shown}: ${reason}`, {
        hint: 'Save it with a plain relative location: onnx.save(model, "model.onnx", save_as_external_data=True, location="weights.bin").',
      });
    }
    const file = byPath.get(path);
    if (!file || file === entry) {
      const near = closestWord(path, [...byPath.keys()]);
      throw new SlipwayError(
        'model_invalid',
        `${entry.path} wants its weights from ${shown}, which was not uploaded with it`,
        {
          hint: `Push the folder that holds both: slipway deploy ./folder --name <model>.${near ? ` There is a file ${near}.` : ''}`,
        },
      );
    }
    if (endBytes > file.sizeBytes) {
      throw new SlipwayError(
        'model_invalid',
        `${path} has ${file.sizeBytes} bytes, and ${entry.path} wants the weights of ${tensor} up to byte ${endBytes}`,
        { hint: 'The files do not belong together, or one was cut off: export the model again and push both.' },
      );
    }
    used.add(path);
  }
  return used;
}
