/** A Python environment of the suite's own, and what a script in it saw. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';

const HERE = import.meta.dirname;
const VENV = join(HERE, '.venv');
const REQUIREMENTS = join(HERE, 'requirements.txt');
const run = promisify(execFile);

export const hasPython = spawnSync('python3', ['-c', 'import venv']).status === 0;

/** Made once; again when the requirements change. */
export async function makeEnvironment(): Promise<void> {
  const stamp = join(VENV, 'requirements.txt');
  const wanted = readFileSync(REQUIREMENTS, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  await run('python3', ['-m', 'venv', VENV]);
  await run(join(VENV, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', '-r', REQUIREMENTS]);
  writeFileSync(stamp, wanted);
}

/**
 * Runs a script that prints one JSON line a check: `{"check", "saw"}`.
 * @returns what a check saw; fails the test when the script stopped before it
 */
export async function runChecks(script: string, ...words: string[]): Promise<(check: string) => unknown> {
  const { stdout } = await run(join(VENV, 'bin/python'), [join(HERE, script), ...words]).catch(
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
