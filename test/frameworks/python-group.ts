/** Interpreters with the packages that a group of these tests needs. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const HERE = import.meta.dirname;
const run = promisify(execFile);
const hasPython = spawnSync('python3', ['-c', 'import venv']).status === 0;
const ASKED = (process.env['SLIPWAY_TEST_FRAMEWORKS'] ?? 'core').split(',');

export const GROUPS = {
  core: 'requirements.txt',
  torch: 'torch-requirements.txt',
  tensorflow: 'tensorflow-requirements.txt',
} as const;

export type Group = keyof typeof GROUPS;

/** Why the tests of a group are skipped; null where they run. */
export function whyNot(group: Group): string | null {
  if (!hasPython) return 'no python3 with venv is here';
  return ASKED.includes(group) ? null : 'SLIPWAY_TEST_FRAMEWORKS does not name it';
}

/** An interpreter with the packages of a group; made once, again when they change. */
export async function pythonOf(group: Group): Promise<string> {
  const given = process.env[`SLIPWAY_TEST_PYTHON_${group.toUpperCase()}`];
  if (given !== undefined) return given;
  const venv = join(HERE, '.venv', group);
  const wanted = readFileSync(join(HERE, GROUPS[group]), 'utf8');
  const stamp = join(venv, 'requirements.txt');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    await run('python3', ['-m', 'venv', venv]);
    await run(join(venv, 'bin/pip'), [
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '-r',
      join(HERE, GROUPS[group]),
    ]);
    writeFileSync(stamp, wanted);
  }
  return join(venv, 'bin/python');
}
