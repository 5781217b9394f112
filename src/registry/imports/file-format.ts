import { SlipwayError } from '../../base/errors.ts';

/**
 * What a file is, by its first bytes and its name. Formats that can carry code are refused, whatever they contain: looking for bad
 * pickles has failed every scanner so far, so only formats that are data by design get in.
 */
export type FileFormat = 'onnx' | 'other';

/** Bytes of the start that `detectFormat` wants to see. */
export const HEAD_BYTES = 4096;

type Refusal = { readonly what: string; readonly hint: string };

const TO_ONNX = 'Export the model to ONNX and upload that';
const SKLEARN: Refusal = {
  what: 'a pickle: loading one runs whatever code is in it',
  hint: `${TO_ONNX}: skl2onnx.to_onnx(model, X[:1]) for scikit-learn, onnxmltools for XGBoost and LightGBM.`,
};
const TORCH: Refusal = {
  what: 'a PyTorch file, which is a pickle: loading one runs whatever code is in it',
  hint: `${TO_ONNX}: torch.onnx.export(model, (example,), "model.onnx", dynamo=True).`,
};
const KERAS: Refusal = {
  what: 'a Keras file, which can carry code in its Lambda layers',
  hint: `${TO_ONNX}: model.export("model.onnx", format="onnx"), or tf2onnx.`,
};
const TENSORFLOW: Refusal = {
  what: 'a TensorFlow graph, which can read and write files',
  hint: `${TO_ONNX}: python -m tf2onnx.convert --saved-model <folder> --output model.onnx.`,
};
const ARCHIVE: Refusal = {
  what: 'an archive, which may hold anything',
  hint: 'Upload the files in it one by one, or their folder: slipway deploy ./folder --name <model>.',
};
const PROGRAM: Refusal = {
  what: 'a program or script, and models here are data only',
  hint: `${TO_ONNX}; preprocessing that needs code runs on the caller's side.`,
};

const REFUSED_EXTENSIONS: Readonly<Record<string, Refusal>> = {
  ...every(['pkl', 'pickle', 'p', 'joblib', 'dill', 'cloudpickle', 'sav'], SKLEARN),
  ...every(['pt', 'pth', 'ckpt', 'mar', 'torchscript', 'ptl'], TORCH),
  ...every(['h5', 'hdf5', 'keras'], KERAS),
  ...every(['pb', 'savedmodel'], TENSORFLOW),
  ...every(['zip', 'tar', 'tgz', 'gz', 'bz2', 'xz', 'zst', '7z', 'rar', 'whl', 'jar', 'egg', 'npz', 'nemo'], ARCHIVE),
  ...every(
    [
      'py',
      'pyc',
      'pyd',
      'ipynb',
      'js',
      'mjs',
      'cjs',
      'ts',
      'sh',
      'bash',
      'bat',
      'cmd',
      'ps1',
      'exe',
      'dll',
      'so',
      'dylib',
      'r',
      'rb',
      'pl',
      'lua',
      'php',
      'wasm',
      'class',
      'node',
      'rds',
      'rdata',
    ],
    PROGRAM,
  ),
};

/** Data-only formats that no engine here loads yet. */
const UNSUPPORTED_EXTENSIONS: Readonly<Record<string, string>> = {
  safetensors: 'safetensors holds weights without the network',
  gguf: 'GGUF needs an engine for language models',
  tflite: 'TensorFlow Lite',
  ort: 'the ORT format',
  pmml: 'PMML',
  mlmodel: 'Core ML',
};

const CONTENT: readonly { readonly magic: readonly number[]; readonly at?: number; readonly refusal: Refusal }[] = [
  { magic: [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a], refusal: KERAS },
  { magic: [0x7f, 0x45, 0x4c, 0x46], refusal: PROGRAM },
  { magic: [0xcf, 0xfa, 0xed, 0xfe], refusal: PROGRAM },
  { magic: [0xca, 0xfe, 0xba, 0xbe], refusal: PROGRAM },
  { magic: [0x00, 0x61, 0x73, 0x6d], refusal: PROGRAM },
  { magic: [0x23, 0x21], refusal: PROGRAM },
  { magic: [0x1f, 0x8b, 0x08], refusal: ARCHIVE },
  { magic: [0x42, 0x5a, 0x68], refusal: ARCHIVE },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], refusal: ARCHIVE },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], refusal: ARCHIVE },
  { magic: [0x37, 0x7a, 0xbc, 0xaf], refusal: ARCHIVE },
  { magic: [0x52, 0x61, 0x72, 0x21], refusal: ARCHIVE },
  { magic: [0x75, 0x73, 0x74, 0x61, 0x72], at: 257, refusal: ARCHIVE },
];

/**
 * Looks at a file that someone uploaded.
 * @param head its first bytes, at least HEAD_BYTES of them where there are as many
 * @throws SlipwayError `model_refused` for what can carry code, `model_unsupported` for data that no engine here loads,
 * `model_invalid` for an .onnx file that is something else
 */
export function detectFormat(path: string, head: Uint8Array, sizeBytes: number): FileFormat {
  assertAllowedName(path);
  const isModel = extensionOf(path) === 'onnx';
  if (sizeBytes === 0) {
    if (!isModel) return 'other';
    throw new SlipwayError('model_invalid', `${path} is empty`, {
      hint: 'Check that the export finished, and upload the file again.',
    });
  }
  const refusal = refusalOfContent(head);
  if (refusal) throw refused(path, refusal);
  if (extensionOf(path) === 'npy' && isNumpyWithObjects(head)) throw refused(path, SKLEARN);
  const data = unsupportedContent(head);
  if (data) throw unsupported(path, data);
  if (isModel) assertBinary(path, head);
  return isModel ? 'onnx' : 'other';
}

/** Only the name: for weights in files of their own, whose bytes may look like anything. */
export function assertAllowedName(path: string): void {
  const extension = extensionOf(path);
  const refusal = Object.hasOwn(REFUSED_EXTENSIONS, extension) ? REFUSED_EXTENSIONS[extension] : undefined;
  if (refusal) throw refused(path, refusal);
  const data = Object.hasOwn(UNSUPPORTED_EXTENSIONS, extension) ? UNSUPPORTED_EXTENSIONS[extension] : undefined;
  if (data) throw unsupported(path, data);
}

function extensionOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? '' : name.slice(dot + 1);
}

function refusalOfContent(head: Uint8Array): Refusal | null {
  for (const { magic, at = 0, refusal } of CONTENT) {
    if (magic.every((byte, i) => head[at + i] === byte)) return refusal;
  }
  if (head[0] === 0x50 && head[1] === 0x4b && (head[2]! === 3 || head[2]! === 5)) return refusalOfZip(head);
  if (isPickle(head)) return SKLEARN;
  // The DOS stub's second pointer keeps text that starts with MZ out.
  if (head[0] === 0x4d && head[1] === 0x5a && head.length > 64 && head.includes(0)) return PROGRAM;
  return null;
}

/** torch.save and Keras write zip files; the names of their first members tell them apart. */
function refusalOfZip(head: Uint8Array): Refusal {
  const text = Buffer.from(head).toString('latin1');
  if (/data\.pkl|\.pkl|constants\.pkl|\/byteorder/.test(text)) return TORCH;
  if (/metadata\.json|config\.json|model\.weights\.h5/.test(text)) return KERAS;
  return ARCHIVE;
}

/** Protocol 2 and later start with 0x80 and the protocol's number; a frame, an opcode or a global follows. */
function isPickle(head: Uint8Array): boolean {
  if (head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5 && head.length > 2) {
    return [
      0x95, 0x63, 0x7d, 0x5d, 0x28, 0x8c, 0x58, 0x4b, 0x4a, 0x4d, 0x47, 0x2e, 0x29, 0x8a, 0x4e, 0x88, 0x89, 0x43, 0x55,
      0x71,
    ].includes(head[2]!);
  }
  // zlib, as joblib compresses by default, around a pickle.
  return head[0] === 0x78 && [0x01, 0x5e, 0x9c, 0xda].includes(head[1]!) && !isText(head);
}

function isNumpyWithObjects(head: Uint8Array): boolean {
  const text = Buffer.from(head.subarray(0, 1024)).toString('latin1');
  return text.startsWith('\x93NUMPY') && /'descr':\s*'\|?O/.test(text);
}

function unsupportedContent(head: Uint8Array): string | null {
  const text = Buffer.from(head.subarray(0, 64)).toString('latin1');
  if (text.startsWith('GGUF')) return UNSUPPORTED_EXTENSIONS['gguf']!;
  if (text.slice(4, 8) === 'TFL3') return UNSUPPORTED_EXTENSIONS['tflite']!;
  if (text.slice(4, 8) === 'ORTM') return UNSUPPORTED_EXTENSIONS['ort']!;
  if (/^.{8}\{"/s.test(text) && head[7] === 0) return UNSUPPORTED_EXTENSIONS['safetensors']!;
  return null;
}

/** A text file named .onnx is nearly always a download that went wrong. */
function assertBinary(path: string, head: Uint8Array): void {
  if (!isText(head)) return;
  const text = Buffer.from(head.subarray(0, 200)).toString('utf8').trimStart();
  if (text.startsWith('version https://git-lfs')) {
    throw new SlipwayError('model_invalid', `${path} is a Git LFS pointer, not the model`, {
      hint: 'Run `git lfs pull` and upload the file again.',
    });
  }
  const what = /^<(!doctype|html|\?xml)/i.test(text) ? 'a web page' : 'text';
  throw new SlipwayError('model_invalid', `${path} is ${what}, not an ONNX model`, {
    hint: 'An ONNX file is binary. Check the download, or export the model again.',
  });
}

function isText(head: Uint8Array): boolean {
  const part = head.subarray(0, 512);
  if (part.length === 0) return false;
  return part.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13);
}

function refused(path: string, refusal: Refusal): SlipwayError {
  return new SlipwayError('model_refused', `${path} is refused: it is ${refusal.what}`, { hint: refusal.hint });
}

function unsupported(path: string, what: string): SlipwayError {
  return new SlipwayError('model_unsupported', `${path} cannot be served: there is no engine here for ${what}`, {
    hint: `${TO_ONNX}.`,
  });
}

function every(extensions: readonly string[], refusal: Refusal): Record<string, Refusal> {
  return Object.fromEntries(extensions.map((extension) => [extension, refusal]));
}
