/** Which Pythons are on this machine. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { SlipwayError } from '../../base/errors.ts';

const run = promisify(execFile);

export type Interpreter = {
  readonly path: string;
  /** Full version, such as `3.11.7`. */
  readonly version: string;
  readonly platform: string;
};

/** The runner program's own bounds. */
const OLDEST_MINOR = 9;
const PROBE_MS = 10_000;
const PROBE =
  'import sys, sysconfig, json; print(json.dumps([".".join(map(str, sys.version_info[:3])), sysconfig.get_platform(), sys.implementation.name, hasattr(sys, "real_prefix") or sys.prefix != sys.base_prefix]))';

/** Looks once: on the first need. */
export function createInterpreterFinder(given: readonly string[]): () => Promise<readonly Interpreter[]> {
  let found: Promise<readonly Interpreter[]> | null = null;
  return () => {
    found ??= probeAll(given.length > 0 ? given : candidates());
    return found;
  };
}

/**
 * The one for a model: of the version it was made with, else the first there is.
 * @throws SlipwayError `model_unsupported`
 */
export function pickInterpreter(found: readonly Interpreter[], wanted: string | null): Interpreter {
  const have = [...new Set(found.map((one) => one.version))].join(', ');
  if (found.length === 0) {
    throw new SlipwayError('model_unsupported', 'There is no Python on this machine that a runner can use', {
      hint: `Install Python 3.${OLDEST_MINOR} or newer with its venv module, or name one in SLIPWAY_INTERPRETERS, and start the server again.`,
    });
  }
  if (wanted === null) return found[0]!;
  const match = found.find((one) => one.version.startsWith(`${wanted}.`));
  if (match) return match;
  throw new SlipwayError('model_unsupported', `The model was made with Python ${wanted}, and here are ${have}`, {
    hint: `Install Python ${wanted} beside them, name it in SLIPWAY_INTERPRETERS and start the server again; or have the model try another with slipway.yaml: python: {version: "${found[0]!.version.split('.').slice(0, 2).join('.')}"}.`,
  });
}

/** Of PATH in its order, then those of pyenv and uv. */
function candidates(): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const minors = Array.from({ length: 12 }, (_, i) => `python3.${20 - i}`);
  const onPath = ['python3', 'python', ...minors].flatMap((name) => folders.map((folder) => join(folder, name)));
  const home = homedir();
  const managed = [join(home, '.pyenv/versions'), join(home, '.local/share/uv/python'), '/opt/python'].flatMap(
    (folder) =>
      list(folder)
        .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
        .map((name) => join(folder, name, 'bin/python3')),
  );
  return [...onPath, ...managed].filter((path) => existsSync(path));
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

async function probeAll(paths: readonly string[]): Promise<Interpreter[]> {
  const found: Interpreter[] = [];
  const seen = new Set<string>();
  for (const path of paths) {
    const real = realOf(path);
    if (real === null || seen.has(real)) continue;
    seen.add(real);
    const one = await probe(path);
    if (one !== null && !found.some((other) => other.version === one.version && other.platform === one.platform))
      found.push(one);
  }
  return found;
}

function realOf(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

async function probe(path: string): Promise<Interpreter | null> {
  try {
    // Not an environment of somebody else's: what is installed there would change under us.
    const { stdout } = await run(path, ['-I', '-B', '-c', PROBE], {
      timeout: PROBE_MS,
      env: { PATH: process.env['PATH'] ?? '', HOME: homedir() },
    });
    const [version, platform, implementation, isVirtual] = JSON.parse(stdout) as [string, string, string, boolean];
    const [major, minor] = version.split('.').map(Number);
    if (major !== 3 || minor! < OLDEST_MINOR || implementation !== 'cpython' || isVirtual) return null;
    return { path, version, platform };
  } catch {
    return null;
  }
}
