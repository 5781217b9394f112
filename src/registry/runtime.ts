/** What a version needs beside its files to run in Python; null for versions that are data only. Part of the manifest. */

/** What the runner program loads it with; its loaders are named in src/serving/python/slipway_runner/models.py. */
export const PYTHON_LOADERS = [
  'function',
  'estimator',
  'pyfunc',
  'torch',
  'tensorflow',
  'tflite',
  'handler',
  'triton',
  'huggingface',
] as const;
export type PythonLoader = (typeof PYTHON_LOADERS)[number];

/** What the same program does beside serving; no version is loaded with one. */
export type PythonTool = 'converter' | 'optimizer';

export type Runtime = {
  readonly loader: PythonLoader;
  /** For the loader; plain JSON. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The version of Python it was made with, such as `3.11`; null: any. */
  readonly python: string | null;
  /** One PEP 508 line for each package. */
  readonly requirements: readonly string[];
  /** Whether its process may open sockets. */
  readonly network: boolean;
};

/** One protection of a Python runner, as found when it was last loaded. */
export type Measure = { readonly name: string; readonly holds: boolean; readonly detail: string };
