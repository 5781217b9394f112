/** Where Python environments lie and what names them. */
import { join } from 'node:path';
import { canonicalJson, digestOf } from '../../registry/manifest.ts';
import type { Runtime } from '../../registry/runtime.ts';
import type { PythonSpec } from '../runner/runner.ts';

export const ENVIRONMENTS_FOLDER = 'environments';

/** What an environment is made of; equal for versions that can share one. */
export type EnvironmentKey = {
  /** Full version, such as `3.11.7`. */
  readonly python: string;
  /** Of the interpreter's machine and system, such as `linux-x86_64`. */
  readonly platform: string;
  readonly requirements: readonly string[];
};

/** Named by what it is made of: the same requirements on the same Python are one environment. */
export function environmentName(key: EnvironmentKey): string {
  const requirements = [...new Set(key.requirements.map((line) => line.replace(/\s+/g, ' ').trim()))].sort();
  return digestOf(canonicalJson({ ...key, requirements })).slice('sha256:'.length, 'sha256:'.length + 40);
}

export function isEnvironmentName(name: string): boolean {
  return /^[0-9a-f]{40}$/.test(name);
}

export function interpreterOf(dataDir: string, environment: string): string {
  return join(dataDir, ENVIRONMENTS_FOLDER, environment, 'bin', 'python');
}

/** @throws Error for a name that is none: it comes from a document that was written by another process */
export function pythonSpec(
  dataDir: string,
  { runtime, environment }: { readonly runtime: Runtime; readonly environment: string },
): PythonSpec {
  if (!isEnvironmentName(environment)) throw new Error('the name of the environment is not one');
  return { runtime, interpreter: interpreterOf(dataDir, environment) };
}
