/** `.pt`, `.pth`, `.pt2`: TorchScript (torch.jit.save) and exported programs (torch.export.save). Weights alone are no model. */
import { SlipwayError } from '../../../base/errors.ts';
import type { StoredFile } from '../../validation.ts';
import type { Importer } from '../importer.ts';
import { isZip, readZip } from '../zip-reader.ts';
import { fileWithEnding, LARGE_LIBRARY_BYTES, libraryModel } from './library-model.ts';

type Kind = 'script' | 'exported' | 'weights';

const TITLES: Readonly<Record<Kind, string>> = {
  script: 'a TorchScript model',
  exported: 'a program of torch.export',
  weights: 'weights of PyTorch without their network',
};

export const torchFile: Importer = {
  format: 'torch',
  detect: (artifact) => fileWithEnding(artifact, '.pt', '.pth', '.pt2', '.torchscript', '.ptl'),

  describe(_artifact, entry) {
    const kind = kindOf(entry);
    return {
      what: `${entry.path}, ${TITLES[kind]}`,
      code:
        kind === 'weights'
          ? 'runs whatever code is in its pickle'
          : 'runs the program in it, by PyTorch, which may read and write files',
      withoutCode:
        'Export it to ONNX, torch.onnx.export(model, (example,), "model.onnx", dynamo=True), and deploy that.',
    };
  },

  read(artifact, entry) {
    const kind = kindOf(entry);
    if (kind === 'weights') {
      throw new SlipwayError('model_unsupported', `${entry.path} is ${TITLES.weights}, so there is nothing to run`, {
        hint: 'Save it with torch.jit.save(torch.jit.script(model), "model.pt") or torch.export.save(program, "model.pt2"), or put a predict.py beside the weights whose load() makes the network.',
      });
    }
    return libraryModel(artifact, entry, {
      loader: 'torch',
      options: { kind },
      known: null,
      needs: ['torch', 'numpy'],
      libraryBytes: LARGE_LIBRARY_BYTES,
    });
  },
};

function kindOf(entry: StoredFile): Kind {
  if (!isZip(entry)) return 'weights';
  const names = [...readZip(entry).keys()];
  if (names.some((name) => /(^|\/)(serialized_exported_program\.json|archive_format|models\/[^/]+\.json)$/.test(name)))
    return 'exported';
  return names.some((name) => /\/code\/.*\.py$/.test(name)) && names.some((name) => name.endsWith('/constants.pkl'))
    ? 'script'
    : 'weights';
}
