/** A folder that transformers saved: config.json, weights as safetensors, the tokenizer. Texts in; classes, tokens or an embedding out. */
import { SlipwayError } from '../../../base/errors.ts';
import type { TensorSpec } from '../../signature.ts';
import type { StoredFile } from '../../validation.ts';
import type { Artifact, Importer } from '../importer.ts';
import { readSmall } from '../stored-source.ts';
import { LARGE_LIBRARY_BYTES, libraryModel } from './library-model.ts';

const CONFIG = 'config.json';
const MAX_BYTES = 16 * 1024 * 1024;
const TOKENIZERS = ['tokenizer.json', 'vocab.txt', 'sentencepiece.bpe.model', 'spiece.model', 'vocab.json'];

type Config = Readonly<Record<string, unknown>>;
type Task = 'classify' | 'tokens' | 'embed';

export const huggingFace: Importer = {
  format: 'huggingface',

  detect({ byPath }) {
    const file = byPath.get(CONFIG);
    if (file === undefined || !TOKENIZERS.some((path) => byPath.has(path))) return null;
    const config = readConfig(file);
    return Array.isArray(config?.['architectures']) ? file : null;
  },

  describe: (_artifact, entry) => ({
    what: `a model of transformers (${architectureOf(readConfig(entry))})`,
    code: 'runs the libraries transformers and torch, in Python',
    withoutCode: 'Export it to ONNX, optimum-cli export onnx --model . onnx/, and deploy that.',
  }),

  read(artifact, entry) {
    const config = readConfig(entry) ?? {};
    if (config['auto_map'] !== undefined) {
      throw new SlipwayError(
        'model_unsupported',
        `${CONFIG} names code of its own (auto_map), which transformers would fetch and run`,
        {
          hint: 'Deploy it by a predict.py whose load() makes the model.',
        },
      );
    }
    assertWeights(artifact);
    const { task, outputs } = taskOf(config);
    const version = String(config['transformers_version'] ?? '');
    return libraryModel(artifact, entry, {
      loader: 'huggingface',
      options: { task },
      known: { inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }], outputs, how: 'tensors' },
      needs: [/^\d+\.\d+\.\d+$/.test(version) ? `transformers==${version}` : 'transformers', 'torch', 'numpy'],
      libraryBytes: LARGE_LIBRARY_BYTES,
    });
  },
};

function taskOf(config: Config): { task: Task; outputs: TensorSpec[] } {
  const architecture = architectureOf(config);
  if (architecture.endsWith('ForSequenceClassification')) {
    const labels = labelsOf(config);
    const scores: TensorSpec = { name: 'scores', datatype: 'FP32', shape: [-1, labels.length], labels };
    return { task: 'classify', outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }, scores] };
  }
  if (architecture.endsWith('ForTokenClassification'))
    return { task: 'tokens', outputs: [{ name: 'entities', datatype: 'BYTES', shape: [-1] }] };
  if (/For[A-Z]|LMHead/.test(architecture)) {
    throw new SlipwayError('model_unsupported', `${architecture} is none of the tasks that are served from a folder`, {
      hint: 'Text classification, token classification and embeddings are. Deploy others by a predict.py that loads them.',
    });
  }
  const width = Number(config['hidden_size'] ?? config['dim'] ?? -1);
  return {
    task: 'embed',
    outputs: [{ name: 'embedding', datatype: 'FP32', shape: [-1, Number.isInteger(width) && width > 0 ? width : -1] }],
  };
}

/** Names of classes, by their numbers. */
function labelsOf(config: Config): string[] {
  const given = config['id2label'];
  if (typeof given === 'object' && given !== null) return Object.values(given as Record<string, unknown>).map(String);
  return Array.from({ length: Number(config['num_labels'] ?? 2) }, (_, at) => `LABEL_${at}`);
}

function assertWeights({ byPath }: Artifact): void {
  if (byPath.has('model.safetensors') || byPath.has('model.safetensors.index.json')) return;
  const has = byPath.has('pytorch_model.bin');
  throw new SlipwayError(
    'model_invalid',
    has ? 'The weights are a pickle (pytorch_model.bin)' : 'There are no weights: model.safetensors is missing',
    {
      hint: 'Save it with model.save_pretrained("folder", safe_serialization=True).',
    },
  );
}

function architectureOf(config: Config | null): string {
  const given = config?.['architectures'];
  return Array.isArray(given) && typeof given[0] === 'string' ? given[0].slice(0, 100) : 'of no known architecture';
}

function readConfig(file: StoredFile): Config | null {
  if (file.sizeBytes > MAX_BYTES) return null;
  try {
    const value: unknown = JSON.parse(readSmall(file, MAX_BYTES).toString());
    return typeof value === 'object' && value !== null ? (value as Config) : null;
  } catch {
    return null;
  }
}
