/** What fills an environment with wheels: uv where it is on this machine, which is some times faster; else pip. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PROBE_MS = 10_000;

export type InstallerName = 'uv' | 'pip';

export type Installation = {
  /** Of the environment that is filled. */
  readonly python: string;
  readonly site: string;
  readonly requirements: string;
  /** Folder for what is downloaded. */
  readonly cache: string;
  /** Folder of wheels to take, without network; empty: the index. */
  readonly wheels: string;
};

/** Whether uv can be started here; looked for once. */
export function createUvFinder(): () => Promise<boolean> {
  let found: Promise<boolean> | null = null;
  return () => {
    found ??= run('uv', ['--version'], { timeout: PROBE_MS }).then(
      ({ stdout }) => stdout.startsWith('uv '),
      () => false,
    );
    return found;
  };
}

/** Wheels only, with both: building a package from its sources runs its code, here and with the rights of the server. */
export function uvArguments({ python, site, requirements, cache, wheels }: Installation): string[] {
  return [
    ...['pip', 'install', '--no-progress', '--color', 'never', '--no-python-downloads', '--system-certs'],
    // Runners write nothing, so what is not compiled now is compiled at every start.
    '--compile-bytecode',
    ...['--python', python, '--target', site, '--only-binary', ':all:', '--cache-dir', join(cache, 'uv')],
    ...(wheels === '' ? [] : ['--no-index', '--find-links', wheels]),
    ...['-r', requirements],
  ];
}

export function pipArguments({ site, requirements, cache, wheels }: Installation): string[] {
  return [
    ...['-I', '-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '--no-warn-script-location'],
    ...['--progress-bar', 'off', '--only-binary', ':all:', '--cache-dir', cache],
    ...(wheels === '' ? [] : ['--no-index', '--find-links', wheels]),
    ...['--target', site, '-r', requirements],
  ];
}
