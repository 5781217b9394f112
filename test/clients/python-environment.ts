/** A Python environment of the suite's own, and what a script in it saw. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';

const HERE = import.meta.dirname;
const run = promisify(execFile);

export const hasPython = spawnSync('python3', ['-c', 'import venv']).status === 0;

/** Clients whose packages do not go together have environments of their own, each by the name of its requirements. */
export type EnvironmentName = 'requirements' | 'cloud-requirements' | 'serving-requirements';

const venvOf = (name: EnvironmentName): string => join(HERE, '.venv', ...(name === 'requirements' ? [] : [name]));

/** Made once; again when the requirements change. */
export async function makeEnvironment(name: EnvironmentName = 'requirements'): Promise<void> {
  const venv = venvOf(name);
  const requirements = join(HERE, `${name}.txt`);
  const stamp = join(venv, 'requirements.txt');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  await run('python3', ['-m', 'venv', '--clear', venv]);
  await install(venv, ['-r', requirements]);
  // Packages of stubs whose dependencies are far larger than what they use of them.
  const alone = [...wanted.matchAll(/^# --no-deps (\S+)$/gm)].map((line) => line[1]!);
  if (alone.length > 0) await install(venv, ['--no-deps', ...alone]);
  writeFileSync(stamp, wanted);
}

/** By uv where it is there, which takes a fraction of pip's time. */
async function install(venv: string, words: readonly string[]): Promise<void> {
  const hasUv = spawnSync('uv', ['--version']).status === 0;
  if (hasUv) await run('uv', ['pip', 'install', '--quiet', '--python', join(venv, 'bin/python'), ...words]);
  else await run(join(venv, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', ...words]);
}

/**
 * Runs a script that prints one JSON line a check: `{"check", "saw"}`.
 * @returns what a check saw; fails the test when the script stopped before it
 */
export async function runChecks(script: string, ...words: string[]): Promise<(check: string) => unknown> {
  return runChecksIn('requirements', script, ...words);
}

export async function runChecksIn(
  name: EnvironmentName,
  script: string,
  ...words: string[]
): Promise<(check: string) => unknown> {
  const { stdout } = await run(join(venvOf(name), 'bin/python'), [join(HERE, script), ...words]).catch(
    (error: { stdout: string; stderr: string }) => {
      console.error(error.stderr);
      return error;
    },
  );
  const lines = stdout.trim().split('\n').filter(Boolean);
  if (process.env['SHOW'] === '1') for (const line of lines) console.log(line);
  const seen = new Map(
    lines.map((line) => JSON.parse(line) as { check: string; saw: unknown }).map((one) => [one.check, one.saw]),
  );
  return (check) => {
    expect([...seen.keys()], 'the client stopped before this check').toContain(check);
    return seen.get(check);
  };
}
