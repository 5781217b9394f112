import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { SlipwayError } from '../../../base/errors.ts';
import type { StoredFile } from '../../validation.ts';
import { importArtifact } from '../artifact-import.ts';
import { findFunction, outputsOf, typeOf } from './annotations.ts';
import { parseRequirements, requirementWarnings } from './requirements.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-python-import-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let written = 0;

function file(path: string, content: string | Uint8Array): StoredFile {
  const blobPath = join(folder, String(++written));
  writeFileSync(blobPath, content);
  return { path, digest: 'unused', sizeBytes: statSync(blobPath).size, blobPath };
}

const allowed = { allowCode: true };
const predict = (source: string, ...more: StoredFile[]) =>
  importArtifact([file('predict.py', source), ...more], allowed);
const refusal = async (promise: Promise<unknown>): Promise<SlipwayError> => {
  const thrown: unknown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(SlipwayError);
  return thrown as SlipwayError;
};

describe('annotations', () => {
  it.each([
    ['float', { datatype: 'FP64', shape: [-1], kind: 'scalar' }],
    ['int', { datatype: 'INT64', shape: [-1], kind: 'scalar' }],
    ['bool', { datatype: 'BOOL', shape: [-1], kind: 'scalar' }],
    ['str', { datatype: 'BYTES', shape: [-1], kind: 'scalar' }],
    ['list[float]', { datatype: 'FP64', shape: [-1], kind: 'list' }],
    ['typing.List[ str ]', { datatype: 'BYTES', shape: [-1], kind: 'list' }],
    ['"FP32[-1, 4]"', { datatype: 'FP32', shape: [-1, 4], kind: 'array' }],
    ["'INT64'", { datatype: 'INT64', shape: [-1], kind: 'array' }],
    ['Annotated[numpy.ndarray, "UINT8[-1,3,32,32]"]', { datatype: 'UINT8', shape: [-1, 3, 32, 32], kind: 'array' }],
    ['dict', null],
    ['"FP32[-2]"', null],
    ['"FP32[0]"', null],
    ['"FLOAT[-1]"', null],
    ['constructor', null],
  ])('%s', (annotation, type) => expect(typeOf(annotation)).toEqual(type));

  it('a dict names several outputs', () => {
    expect([...outputsOf('{"a": float, \'b\': "FP32[-1, 2]"}')!.keys()]).toEqual(['a', 'b']);
    expect(outputsOf('{"a": dict}')).toBeNull();
    expect(outputsOf('{**x}')).toBeNull();
  });

  it('texts, comments and brackets in defaults do not mislead', () => {
    const source = `
# def predict(wrong: int) -> int:
"""
def predict(wrong: int) -> int:
"""
def other(x): return x
def predict(
    a: float = max(1, 2),  # a comment with ) and :
    *,
    b: str = "),:->",
    c: "FP32[-1, 2]" = ((0.0, 1.0),),
) -> {"x": float, "y": str}:
    return {}
`;
    const header = findFunction(source, 'predict', 'predict.py')!;
    expect(header.parameters).toEqual([
      { name: 'a', annotation: 'float', hasDefault: true },
      { name: 'b', annotation: 'str', hasDefault: true },
      { name: 'c', annotation: '"FP32[-1, 2]"', hasDefault: true },
    ]);
    expect(header.returns).toBe('{"x": float, "y": str}');
  });

  it('hostile source ends quickly', () => {
    const startedMs = performance.now();
    for (const source of [
      '"'.repeat(500_000),
      "'''".repeat(200_000),
      `def predict(${'('.repeat(500_000)}`,
      '\\"'.repeat(300_000),
    ]) {
      try {
        findFunction(source, 'predict', 'predict.py');
      } catch (error) {
        expect(error).toBeInstanceOf(SlipwayError);
      }
    }
    expect(performance.now() - startedMs).toBeLessThan(3000);
  });
});

describe('predict.py', () => {
  it('gives the signature of its annotations, and says how it is called', async () => {
    const { format, signature, runtime } = await predict(
      'def load():\n    return 1\n\ndef predict(model, age: float, city: str = "Bern") -> float:\n    return 1.0\n',
    );
    expect(format).toBe('python');
    expect(signature).toEqual({
      inputs: [
        { name: 'age', datatype: 'FP64', shape: [-1] },
        { name: 'city', datatype: 'BYTES', shape: [-1], optional: true },
      ],
      outputs: [{ name: 'prediction', datatype: 'FP64', shape: [-1] }],
    });
    expect(runtime).toEqual({
      loader: 'function',
      options: { load: true, perRow: true, byName: false, kinds: { age: 'scalar', city: 'scalar' } },
      python: null,
      requirements: [],
      network: false,
    });
  });

  it('is refused without permission, with what it is and what to do', async () => {
    const error = await refusal(importArtifact([file('predict.py', 'def predict(x: float) -> float: return x')]));
    expect(error.code).toBe('model_refused');
    expect(error.message).toContain('loading one runs the program');
    expect(error.hint).toContain('--allow-code');
  });

  it.each([
    ['x = 1', /has no function predict/],
    ['def predict() -> float: ...', /takes no inputs/],
    ['def predict(x) -> float: ...', /The parameter x .* has no type/],
    ['def predict(x: dict) -> float: ...', /The parameter x .* is dict, which is no type of a tensor/],
    ['def predict(x: float): ...', /does not say what it returns/],
    ['def predict(x: float) -> dict: ...', /returns dict, which is no type/],
    ['def predict(x: float) -> list[float]: ...', /mixes values of one row/],
    ['def predict(*x: float) -> float: ...', /takes \*x: float/],
    ['async def predict(x: float) -> float: ...', /is async/],
    ['def load(path): ...\ndef predict(m, x: float) -> float: ...', /load .* takes parameters/],
    ['def predict(x: float', /do not end/],
  ])('%s is told at its line', async (source, message) => {
    const error = await refusal(predict(source));
    expect(error.code).toMatch(/^model_(invalid|unsupported)$/);
    expect(error.message).toMatch(message);
  });

  it('takes its Python and its network from slipway.yaml', async () => {
    const about = file('slipway.yaml', 'python: {version: "3.11", network: true}');
    const { runtime } = await predict(
      'def predict(x: float) -> float: return x',
      about,
      file('requirements.txt', 'numpy==2.4.6\n'),
    );
    expect(runtime).toMatchObject({ python: '3.11', network: true, requirements: ['numpy==2.4.6'] });
  });
});

describe('requirements', () => {
  it('are read by name, with comments, markers, extras and hashes', () => {
    const read = parseRequirements(
      '# a comment\nscikit-learn==1.9.1  # pinned\nnumpy>=2,<3\nuvicorn[standard]==0.30 ; python_version >= "3.9"\nScipy==1.17.1 \\\n  --hash=sha256:aa\n',
      'requirements.txt',
    );
    expect(read.map(({ name, isPinned }) => [name, isPinned])).toEqual([
      ['scikit-learn', true],
      ['numpy', false],
      ['uvicorn', true],
      ['scipy', true],
    ]);
    expect(requirementWarnings(read)).toEqual([expect.stringMatching(/^numpy is not pinned/)]);
  });

  it.each([
    ['-r other.txt', /is an option of pip/],
    ['--index-url https://evil.example', /is an option of pip/],
    ['-e .', /is an option of pip/],
    ['git+https://example.com/x.git', /names an address or a folder/],
    ['pkg @ file:///etc', /names an address or a folder/],
    ['./local.whl', /names an address or a folder/],
    ['a b c', /is no requirement/],
  ])('%s is refused with its line', (line, message) => {
    expect(() => parseRequirements(`numpy==1\n${line}`, 'requirements.txt')).toThrow(message);
    expect(() => parseRequirements(`numpy==1\n${line}`, 'requirements.txt')).toThrow(/^Line 2 of requirements\.txt/);
  });
});

const MLMODEL = (flavors: string, signature: string): string =>
  `flavors:\n${flavors}\nmlflow_version: 3.17.2\n${signature}\n`;
const SKLEARN = `  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl, predict_fn: predict, python_version: 3.11.7, env: {conda: conda.yaml}}
  sklearn: {code: null, pickled_model: model.pkl, serialization_format: cloudpickle, sklearn_version: 1.9.1}`;
const COLUMNS = `signature:
  inputs: '[{"type": "double", "name": "a", "required": true}, {"type": "string", "name": "b", "required": false}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'`;

describe('an MLflow model', () => {
  const files = (mlmodel: string, ...more: StoredFile[]): StoredFile[] => [
    file('MLmodel', mlmodel),
    file('model.pkl', Uint8Array.of(0x80, 5, 0x4e, 0x2e)),
    file('requirements.txt', 'mlflow==3.17.2\nscikit-learn==1.9.1\ncloudpickle==3.1.3\n'),
    file('python_env.yaml', 'python: 3.11.7\nbuild_dependencies: []\n'),
    ...more,
  ];

  it('gives flavor, signature, example and what it needs; its pickle is loaded without MLflow', async () => {
    const example = file('input_example.json', '{"columns": ["a", "b"], "data": [[1.5, "x"], [2.5, "y"]]}');
    const info = 'saved_input_example_info: {artifact_path: input_example.json, pandas_orient: split, type: dataframe}';
    const read = await importArtifact(files(`${MLMODEL(SKLEARN, COLUMNS)}${info}\n`, example), allowed);
    expect(read).toMatchObject({
      format: 'mlflow',
      entry: 'model.pkl',
      what: 'an MLflow model (python_function, sklearn)',
      sample: { records: [{ a: 1.5, b: 'x' }] },
      signature: {
        inputs: [
          { name: 'a', datatype: 'FP64', shape: [-1] },
          { name: 'b', datatype: 'BYTES', shape: [-1], optional: true },
        ],
        outputs: [{ name: 'prediction', datatype: 'INT64', shape: [-1] }],
      },
      runtime: {
        loader: 'estimator',
        options: { reader: 'cloudpickle', file: 'model.pkl', inputs: 'frame', outputs: [{ method: 'predict' }] },
        python: '3.11',
        requirements: ['scikit-learn==1.9.1', 'cloudpickle==3.1.3', 'numpy', 'pandas'],
      },
    });
  });

  it('a tensor of one input is an array, and needs no pandas', async () => {
    const signature = `signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]'`;
    const { runtime } = await importArtifact(files(MLMODEL(SKLEARN, signature)), allowed);
    expect(runtime).toMatchObject({
      options: { inputs: 'matrix' },
      requirements: expect.not.arrayContaining(['pandas']),
    });
  });

  it('every other flavor goes through python_function, with the MLflow it was made with', async () => {
    const flavors =
      '  python_function: {loader_module: mlflow.statsmodels, python_version: 3.12.1, env: {}}\n  statsmodels: {}';
    const { runtime } = await importArtifact(files(MLMODEL(flavors, COLUMNS)), allowed);
    expect(runtime).toMatchObject({
      loader: 'pyfunc',
      options: { folder: '.' },
      requirements: expect.arrayContaining(['mlflow==3.17.2']),
    });
  });

  it.each([
    ['no signature', MLMODEL(SKLEARN, ''), /Nothing says what MLmodel takes and gives/],
    ['nested columns', MLMODEL(SKLEARN, COLUMNS.replace('"double"', '"object"')), /type object, which has no tensor/],
    ['no flavor that can be called', MLMODEL('  spark: {}', COLUMNS), /no python_function flavor, only spark/],
    [
      'a file that is not there',
      MLMODEL(SKLEARN.replaceAll('model.pkl', 'other.pkl'), COLUMNS),
      /other\.pkl.*not uploaded/,
    ],
    [
      'a path out of the folder',
      MLMODEL(SKLEARN.replaceAll('model.pkl', '../../etc/passwd'), COLUMNS),
      /passwd.*not uploaded/,
    ],
    ['a YAML tag', '!!python/object/apply:os.system ["true"]', /the tag .* is not allowed/],
    ['no flavors', 'artifact_path: x', /flavors is missing/],
  ])('%s is told', async (_title, mlmodel, message) => {
    expect((await refusal(importArtifact(files(mlmodel), allowed))).message).toMatch(message);
  });

  it('is refused without permission, before anything else is read', async () => {
    const error = await refusal(importArtifact(files(MLMODEL(SKLEARN, COLUMNS))));
    expect(error.message).toBe(
      'MLmodel is refused: it is an MLflow model (python_function, sklearn): loading one runs whatever code is in its pickle',
    );
    expect(error.extra).toEqual({
      found: 'an MLflow model (python_function, sklearn)',
      runs: 'runs whatever code is in its pickle',
    });
  });
});
