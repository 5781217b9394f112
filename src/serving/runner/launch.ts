import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Written as `.ts` in a checkout, as `.js` in the published package. */
const PROGRAM = fileURLToPath(
  new URL(`../../runner.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
);

/** V8's settings in a runner; bench/runner.ts measures them. */
const RUNNER_FLAGS = [
  // Parallel collectors starve beside a busy process on the same core: pauses of up to 42 ms came from them.
  '--single-threaded-gc',
  // Frames are short-lived: with room for more of them, few are copied.
  '--max-semi-space-size=16',
  // One thread for V8's background work instead of four: 5 MiB less, and fewer that compete with the gateway.
  '--v8-pool-size=1',
  // A runner's stderr is shown to people.
  '--disable-warning=ExperimentalWarning',
];

/**
 * What a Node process reserves as writable memory without using it, above all 512 MiB for generated code. RLIMIT_DATA counts reservations
 * (measured: VmData of an idle runner is 560 to 600 MiB), the limit of a version does not.
 */
const RESERVED_BYTES = 640 * 1024 * 1024;

/**
 * No core dumps, which would write a model's inputs to disk; a ceiling on memory; and, where the system's setpriv can, the end with the
 * parent even inside a run that never ends, and no way to more privileges. The words after the script are its arguments.
 */
const SCRIPT = `
ulimit -c 0 2>/dev/null
ulimit -d "$1" 2>/dev/null
shift
if setpriv --no-new-privs --pdeathsig KILL true 2>/dev/null; then exec setpriv --no-new-privs --pdeathsig KILL "$@"; fi
exec "$@"
`;

/** The program for models in Python: a folder with its own `__main__`. */
const PYTHON_PROGRAM = fileURLToPath(new URL('../python/slipway_runner', import.meta.url));

/** Away from what users of this machine installed or set; no files of compiled code beside ours. */
const PYTHON_FLAGS = ['-I', '-B', '-X', 'utf8'];

export type Launch = {
  /** The process's working directory. */
  readonly folder: string;
  readonly diaryFd: number;
  readonly memoryBytes: number;
  /** Threads one run may use. */
  readonly threads: number;
  /** Of Python, for the program in Python; null: the one in TypeScript. */
  readonly interpreter: string | null;
};

/**
 * Starts a runner process: standard input and output closed, standard error piped, a socket pair at descriptor 3, the diary at 4, and
 * nothing of ours in its environment.
 */
export function launchRunner({ folder, diaryFd, memoryBytes, threads, interpreter }: Launch): ChildProcess {
  const command =
    interpreter === null
      ? [process.execPath, ...RUNNER_FLAGS, PROGRAM]
      : [interpreter, ...PYTHON_FLAGS, PYTHON_PROGRAM];
  const limitKib = String(Math.ceil((memoryBytes + RESERVED_BYTES) / 1024));
  const [program, args] =
    process.platform === 'win32'
      ? [command[0]!, command.slice(1)]
      : ['/bin/sh', ['-c', SCRIPT, 'slipway-runner', limitKib, ...command]];
  return spawn(program, args, {
    cwd: folder,
    env: interpreter === null ? runnerEnvironment() : pythonEnvironment(folder, threads),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', diaryFd],
    // A model in Python may start processes: all of them are one group, which ends with it.
    detached: interpreter !== null,
  });
}

/** Ends a runner at once, with the processes it started. */
export function killRunner(child: ChildProcess): void {
  child.kill('SIGKILL');
  if (child.pid === undefined || child.spawnargs.every((word) => word !== PYTHON_PROGRAM)) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // nothing of the group is left
  }
}

/** Each of these names the threads of one library that computes. */
const THREAD_VARIABLES = [
  'OMP_NUM_THREADS',
  'OPENBLAS_NUM_THREADS',
  'MKL_NUM_THREADS',
  'NUMEXPR_NUM_THREADS',
  'VECLIB_MAXIMUM_THREADS',
];

/** Nothing of ours but how many threads to use, and its own folder as home. */
function pythonEnvironment(folder: string, threads: number): Record<string, string> {
  return {
    HOME: folder,
    TMPDIR: folder,
    LANG: 'C.UTF-8',
    PATH: '/usr/bin:/bin',
    ...Object.fromEntries(THREAD_VARIABLES.map((name) => [name, String(threads)])),
  };
}

/** Only where compiled sources are kept: without it each runner loads the TypeScript compiler, 15 MB of memory and some 50 ms. */
function runnerEnvironment(): Record<string, string> {
  const { NODE_COMPILE_CACHE } = process.env;
  return NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };
}
