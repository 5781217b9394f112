/** Makes Python environments: one for each set of requirements, shared by versions, made once, whole or not at all. */
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Runtime } from '../../registry/runtime.ts';
import { ENVIRONMENTS_FOLDER, environmentName, interpreterOf } from './environment.ts';
import { createUvFinder, type Installation, type InstallerName, pipArguments, uvArguments } from './installers.ts';
import { createInterpreterFinder, type Interpreter, pickInterpreter } from './interpreters.ts';
import { runTool, ToolFailure, type ToolOptions } from './run-tool.ts';

export type MadeEnvironment = {
  readonly name: string;
  readonly interpreter: string;
  /** A sentence without its full stop: what was done, and how long it took. */
  readonly detail: string;
};

/** What decides which environment: equal ones share one. */
export type EnvironmentNeeds = Pick<Runtime, 'python' | 'requirements'>;

export type Environments = {
  /**
   * @param tell is given each line of what is going on
   * @throws SlipwayError `environment_failed` with the words of the resolver, `model_unsupported` where no Python fits
   */
  ensure(needs: EnvironmentNeeds, tell: (line: string) => void): Promise<MadeEnvironment>;
};

export type EnvironmentsDeps = {
  readonly dataDir: string;
  readonly log: Logger;
  /** Paths of interpreters; empty: those found on this machine. */
  readonly interpreters: readonly string[];
  /** Folder of wheels to make environments of, without network; empty: the index. */
  readonly wheels: string;
  readonly timeoutMs: number;
  /** uv where it is found unless told. */
  readonly installer?: InstallerName;
};

const RECORD = 'environment.json';
const LOG = 'build.log';
const PARTIAL = '.partial';
const UNREACHABLE = /timed out|Connection|resolve host|dns|network|Retry|Failed to fetch|certificate/i;

export function createEnvironments(deps: EnvironmentsDeps): Environments {
  const root = join(deps.dataDir, ENVIRONMENTS_FOLDER);
  const find = createInterpreterFinder(deps.interpreters);
  const hasUv = createUvFinder();
  /** By name: two versions with the same requirements wait for one making. */
  const underWay = new Map<string, Promise<MadeEnvironment>>();
  let swept: Promise<void> | null = null;

  return {
    async ensure(runtime, tell) {
      const interpreter = pickInterpreter(await find(), runtime.python);
      const { version: python, platform } = interpreter;
      const name = environmentName({ python, platform, requirements: runtime.requirements });
      const before = underWay.get(name);
      if (before) return before;
      const making = ensureOne(name, interpreter, runtime, tell).finally(() => underWay.delete(name));
      underWay.set(name, making);
      return making;
    },
  };

  async function ensureOne(
    name: string,
    interpreter: Interpreter,
    runtime: EnvironmentNeeds,
    tell: (line: string) => void,
  ): Promise<MadeEnvironment> {
    const folder = join(root, name);
    const done = { name, interpreter: interpreterOf(deps.dataDir, name) };
    const known = await readRecord(folder);
    if (known !== null && existsSync(done.interpreter)) {
      return { ...done, detail: `Python ${known.python}, the environment was there already` };
    }
    const startedMs = performance.now();
    try {
      await make(name, folder, interpreter, runtime, tell);
    } catch (error) {
      // What was downloaded is in the cache; the words of the tool are in the error.
      await rm(`${folder}${PARTIAL}`, { recursive: true, force: true }).catch(() => {});
      if (error instanceof ToolFailure) throw environmentFailed(error, runtime, deps.wheels);
      throw toSlipwayError(error);
    }
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const count = (await readRecord(folder))?.packages.length ?? 0;
    deps.log.info({ environment: name, python: interpreter.version, seconds, packages: count }, 'environment made');
    return { ...done, detail: `Python ${interpreter.version}, ${count} packages, made in ${seconds} s` };
  }

  /** In a folder of another name, which gets its own when all is there: whoever finds it under its name finds it whole. */
  async function make(
    name: string,
    folder: string,
    interpreter: Interpreter,
    runtime: EnvironmentNeeds,
    tell: (line: string) => void,
  ): Promise<void> {
    const partial = join(root, `${name}${PARTIAL}`);
    await mkdir(root, { recursive: true, mode: 0o755 });
    swept ??= sweep();
    await swept;
    await rm(folder, { recursive: true, force: true });
    await mkdir(partial);
    const requirements = join(partial, 'requirements.txt');
    await writeFile(requirements, runtime.requirements.map((line) => `${line}\n`).join(''));
    const log = await open(join(partial, LOG), 'w');
    const note = (line: string): void => {
      void log.write(`${line}\n`).catch(() => {}); // the log of a making is a help, no part of it
      deps.log.debug({ environment: name, line }, 'environment');
      tell(`Making its Python environment: ${line.replace(/ \(from .*$/, '')}`);
    };
    const options = { folder: partial, timeoutMs: deps.timeoutMs, onLine: note };
    try {
      await runTool(interpreter.path, ['-I', '-m', 'venv', '--without-pip', partial], options);
      if (runtime.requirements.length > 0) {
        const minor = interpreter.version.split('.').slice(0, 2).join('.');
        const installation = {
          python: join(partial, 'bin', 'python'),
          site: join(partial, 'lib', `python${minor}`, 'site-packages'),
          requirements,
          cache: join(root, '.cache'),
          wheels: deps.wheels,
        };
        await install(interpreter, installation, options);
      }
      const packages = await installedPackages(partial);
      await writeRecord(partial, { python: interpreter.version, requirements: runtime.requirements, packages });
    } finally {
      await log.close();
    }
    await rename(partial, folder);
  }

  /** By uv where it is found; pip may know of an index that uv does not reach, so it has the last word where that fails. */
  async function install(interpreter: Interpreter, installation: Installation, options: ToolOptions): Promise<void> {
    const { installer } = deps;
    if (installer !== 'pip' && (installer === 'uv' || (await hasUv()))) {
      try {
        return await runTool('uv', uvArguments(installation), options);
      } catch (error) {
        if (installer === 'uv' || !(error instanceof ToolFailure) || !UNREACHABLE.test(error.lastWords)) throw error;
        options.onLine(`uv could not reach the index (${error.lastWords.slice(0, 200)}); pip is tried`);
      }
    }
    await runTool(await ensurePip(interpreter, options), pipArguments(installation), options);
  }

  /** Removes what killed makings left, of whatever environment, before the first one of this process. */
  async function sweep(): Promise<void> {
    for (const one of await readdir(root)) {
      if (one.endsWith(PARTIAL)) await rm(join(root, one), { recursive: true, force: true });
    }
  }

  /** pip, in an environment of its own: none of those it fills has it. */
  async function ensurePip(interpreter: Interpreter, options: ToolOptions): Promise<string> {
    const folder = join(root, `.pip-${interpreter.version}`);
    const python = join(folder, 'bin', 'python');
    const record = join(folder, RECORD);
    if (existsSync(record) && existsSync(python)) return python;
    await rm(folder, { recursive: true, force: true });
    await runTool(interpreter.path, ['-I', '-m', 'venv', folder], options);
    await writeFile(record, '{}');
    return python;
  }
}

type Record = {
  readonly python: string;
  readonly requirements: readonly string[];
  readonly packages: readonly string[];
};

async function readRecord(folder: string): Promise<Record | null> {
  try {
    return JSON.parse(await readFile(join(folder, RECORD), 'utf8')) as Record;
  } catch {
    return null;
  }
}

async function writeRecord(folder: string, record: Record): Promise<void> {
  const file = await open(join(folder, RECORD), 'w');
  await file.writeFile(JSON.stringify(record, null, 2));
  await file.sync();
  await file.close();
}

/** `name==version` of what is installed, by the folders that installers leave: nothing of it is run to find out. */
async function installedPackages(folder: string): Promise<string[]> {
  const lib = join(folder, 'lib');
  const found: string[] = [];
  for (const python of await readdir(lib)) {
    for (const entry of await readdir(join(lib, python, 'site-packages')).catch(() => [] as string[])) {
      const match = /^(.+)-([^-]+)\.dist-info$/.exec(entry);
      if (match) found.push(`${match[1]!.toLowerCase().replaceAll('_', '-')}==${match[2]}`);
    }
  }
  return found.sort();
}

function environmentFailed(failure: ToolFailure, runtime: EnvironmentNeeds, wheels: string): SlipwayError {
  const said = failure.lastWords;
  return new SlipwayError('environment_failed', `The Python environment could not be made: ${said}`, {
    hint: hintFor(said, runtime, wheels),
  });
}

function hintFor(said: string, runtime: EnvironmentNeeds, wheels: string): string {
  const isMissing =
    /No matching distribution|Could not find a version|there is no version of|was not found in|has no (usable )?wheels/i;
  if (isMissing.test(said)) {
    const where = wheels === '' ? 'the index' : 'the folder of SLIPWAY_WHEELS';
    return `No wheel of that version is in ${where} for this Python (${runtime.python ?? 'the one that was chosen'}). Name a version that is there, or another Python in slipway.yaml: python: {version: …}; packages that are in no index go as wheels into the folder of SLIPWAY_WHEELS.`;
  }
  if (/conflict|ResolutionImpossible|unsatisfiable/i.test(said)) {
    return 'Two requirements exclude each other. Loosen one of them in requirements.txt, or give the list that works in slipway.yaml: python: {requirements: […]}, and deploy again.';
  }
  if (/ensurepip|No module named (venv|pip)/i.test(said)) {
    return 'This Python has no venv or pip module. Install them (Debian: python3-venv), or name another interpreter in SLIPWAY_INTERPRETERS.';
  }
  if (UNREACHABLE.test(said)) {
    return 'The package index could not be reached. Deploy again when it can be: what was downloaded is kept. Without network, put wheels into a folder and name it in SLIPWAY_WHEELS.';
  }
  return 'Mend requirements.txt and deploy again; the words above are those of the installer.';
}
