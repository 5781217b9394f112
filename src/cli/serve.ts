import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { readContract } from '../base/contract.ts';
import { ADMIN_KEY_FILE, DATABASE_FILE, LOG_FILE, RUN_FOLDER, SERVER_FILE } from '../base/data-folder.ts';
import { writeDurably } from '../base/durable-file.ts';
import type { ProgramReady } from '../base/program.ts';
import { RELEASE } from '../base/release.ts';
import { assertGateways, assertSafeBind, readSettings, SETTINGS, type SettingName } from '../base/settings.ts';
import { warnOfUnknownVariables } from '../base/unknown-variables.ts';
import { CliError } from './cli-error.ts';
import { CLIENT_SETTINGS, type ServerFile } from './client-settings.ts';
import { EXIT_CODES, type ExitReason } from './exit-code.ts';
import type { Output } from './output.ts';
import { type ProcessRow, processGroups, programPath } from './processes.ts';
import { announce } from './serve/announcement.ts';
import { type Child, type ChildEnd, superviseChild } from './serve/child.ts';
import { childEnvironment } from './serve/child-environment.ts';
import { contractSettings, FIRST_ENDPOINT } from './serve/contract-settings.ts';
import { deployFirst, deploySample, type FirstModelOutcome, isServed, modelWithin } from './serve/first-model.ts';
import { assertPortFree } from './serve/free-port.ts';
import { knownPorts } from './serve/known-ports.ts';
import { createLogSink, type LogSink } from './serve/log-sink.ts';
import { untilAnswering } from './serve/readiness.ts';
import { SERVE_OPTIONS, settingFlags } from './serve/serve-options.ts';
import { cleanLine } from './terminal.ts';
import type { VerbCall, VerbSpec } from './verb.ts';

export const serve: VerbSpec = {
  name: 'serve',
  summary: 'Start the server here',
  about:
    'Starts the management API and the gateway, restarts them when they end, and stops them on Ctrl-C; a second Ctrl-C stops at once. ' +
    'Everything is written to the data folder and nowhere else. The first start deploys a sample model and tries it.',
  examples: [
    ['slipway serve', 'starts, with all data in ./.slipway'],
    ['slipway serve --no-sample --data /var/lib/slipway', 'starts empty, with its data elsewhere'],
    ['slipway serve --model ./model-folder', 'deploys that model, and it answers where no endpoint is named'],
    ['slipway serve --http-port 0 --grpc-port 0 --control-port 0 --json', 'takes free ports and says which'],
  ],
  options: [{ flags: '--no-sample', help: 'do not deploy the sample model on the first start' }, ...SERVE_OPTIONS],
  local: true,
  run: runServe,
};

/** How long to wait for what is served to answer before saying that it does not yet. */
const LOADING_MS = 30_000;

/** Signals this soon after the first are its echo: npm passes on the Ctrl-C that the terminal has sent to us as well. */
const ECHO_MS = 150;

async function runServe(call: VerbCall): Promise<number> {
  const { out } = call;
  const typed = settingFlags(call.options);
  const read = readSettings(process.env, typed);
  const contract = readContract(process.env, read.settings);
  const flags = { ...(contract === null ? {} : contractSettings(contract, read)), ...typed };
  const first = contract?.model ?? (contract === null ? read.settings.model : '');
  if (first !== '' && read.settings.defaultEndpoint === '') flags.defaultEndpoint = FIRST_ENDPOINT;
  const { settings } = readSettings(process.env, flags);
  assertSafeBind(settings);
  assertGateways(settings);
  const groups = processGroups(settings.gateways);

  const startedAt = performance.now();
  const { dataDir } = settings;
  const isNew = !existsSync(join(dataDir, DATABASE_FILE));
  for (const folder of ['', RUN_FOLDER, dirname(LOG_FILE)])
    mkdirSync(join(dataDir, folder), { recursive: true, mode: 0o700 });
  const sink = createLogSink(join(dataDir, LOG_FILE), out, settings.logLevel);
  const others = Object.values(CLIENT_SETTINGS).map((row) => row.env);
  for (const warning of warnOfUnknownVariables(process.env, others)) sink.event('warn', warning);

  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(flags)) given[SETTINGS[name as SettingName].env] = value;
  given['SLIPWAY_DATA'] = dataDir;
  // Stripped and compiled sources are kept: measured on control, 65 -> 44 MB of private memory and a faster start.
  given['NODE_COMPILE_CACHE'] = process.env['NODE_COMPILE_CACHE'] ?? join(dataDir, RUN_FOLDER, 'compile-cache');

  const children: Child[] = [];
  let announced = false;
  const stop = stopOnSignals(groups, children, settings.drainMs, out);
  stop.signal.addEventListener('abort', () => sink.quieten(), { once: true });
  try {
    if (settings.gateways > 1) {
      await assertPortFree(settings.host, settings.httpPort, 'SLIPWAY_HTTP_PORT');
      if (settings.grpcPort !== 'off') await assertPortFree(settings.host, settings.grpcPort, 'SLIPWAY_GRPC_PORT');
      for (const { port } of settings.protocolPorts)
        await assertPortFree(settings.host, port, 'SLIPWAY_PROTOCOL_PORTS');
      if (contract !== null) await assertPortFree('0.0.0.0', contract.port, 'SLIPWAY_CONTRACT');
    }
    const ready = await startAll({ groups, children, dataDir, given, sink, out, stop });
    if (ready === 'stopped') return await stop.finished;
    const server: ServerFile = {
      url: ready.control.url,
      inferenceUrl: ready.gateway.url,
      grpcAddress: ready.gateway.grpcAddress,
      protocolUrls: ready.gateway.protocolUrls,
      pid: process.pid,
      startedAt: new Date().toISOString(),
    };
    await writeDurably(join(dataDir, SERVER_FILE), `${JSON.stringify(server)}\n`);
    announced = true;
    let sample: FirstModelOutcome | null = null;
    if (first !== '') {
      const adminKey = readFileSync(join(dataDir, ADMIN_KEY_FILE), 'utf8').trim();
      const deps = { server, adminKey, stop: stop.signal };
      const allowCode = settings.modelCode === 'allow';
      const model = { path: modelWithin(first), name: settings.defaultEndpoint, reason: 'the start', allowCode };
      const outcome = await withProgress(out, `Deploying ${first}`, async () =>
        !isNew && (await isServed(deps, model)) ? null : deployFirst(deps, model),
      );
      if (outcome?.kind === 'failed') {
        throw new CliError('validation', `The model ${first} could not be deployed: ${cleanLine(outcome.reason)}`, {
          code: 'model_refused',
          hint: 'SLIPWAY_MODEL, or the variables of a container, name it; `slipway deploy` says more of it.',
        });
      }
    } else if (isNew && contract === null && call.options.unlessNo('sample') && ready.control.adminKey !== null) {
      const { adminKey } = ready.control;
      sample = await withProgress(out, 'Deploying the sample model', () =>
        deploySample({ server, adminKey, stop: stop.signal }),
      );
    }
    const notReady = await withProgress(out, 'Loading what is served', () =>
      untilAnswering(
        children.filter((child) => child.row.name === 'gateway'),
        LOADING_MS,
        stop.signal,
      ),
    );
    if (!stop.signal.aborted) {
      if (notReady !== null) out.warn(`Not everything answers yet: ${notReady}. \`slipway status\` shows it.`);
      announce({
        out,
        server,
        release: RELEASE,
        tookMs: performance.now() - startedAt,
        adminKey: ready.control.adminKey,
        keyNeeded: settings.inferenceAuth === 'required',
        dataFolder: shown(dataDir),
        keyFile: existsSync(join(dataDir, ADMIN_KEY_FILE)) ? shown(join(dataDir, ADMIN_KEY_FILE)) : null,
        sample,
        contract: contract === null ? null : `${contract.platform} at port ${contract.port}`,
      });
    }
    return await stop.finished;
  } catch (error) {
    for (const child of [...children].reverse()) await child.stop(2000);
    throw error;
  } finally {
    for (const child of children) child.kill();
    // Not that of another server, because of which this one could not start.
    if (announced) rmSync(join(dataDir, SERVER_FILE), { force: true });
    sink.close();
  }
}

const shown = (path: string): string => {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
};

type Stop = {
  readonly signal: AbortSignal;
  /** Resolves with the exit code once everything has ended after a signal. */
  readonly finished: Promise<number>;
};

function stopOnSignals(
  groups: readonly (readonly ProcessRow[])[],
  children: readonly Child[],
  drainMs: number,
  out: Output,
): Stop {
  const asked = new AbortController();
  const finished = Promise.withResolvers<number>();
  let firstAt = 0;
  const onSignal = (): void => {
    if (asked.signal.aborted) {
      if (performance.now() - firstAt < ECHO_MS) return;
      for (const child of children) child.kill();
      out.note('Stopped at once.');
      process.exit(EXIT_CODES.interrupted.code);
    }
    firstAt = performance.now();
    asked.abort();
    out.note('Stopping: answering what is under way. Ctrl-C again stops at once.');
    void stopInOrder();
  };
  async function stopInOrder(): Promise<void> {
    for (const group of [...groups].reverse()) {
      const members = children.filter((child) => group.includes(child.row));
      await Promise.all(
        members.map(({ row, stop }) => stop(row.stopWithinMs + (row.name === 'gateway' ? drainMs : 0))),
      );
    }
    out.note('Stopped. Everything acknowledged is in the data folder.');
    finished.resolve(EXIT_CODES.ok.code);
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return { signal: asked.signal, finished: finished.promise };
}

type StartDeps = {
  readonly groups: readonly (readonly ProcessRow[])[];
  readonly children: Child[];
  readonly dataDir: string;
  readonly given: Record<string, string>;
  readonly sink: LogSink;
  readonly out: Output;
  readonly stop: Stop;
};

async function startAll(deps: StartDeps): Promise<{ control: ProgramReady; gateway: ProgramReady } | 'stopped'> {
  const ready: Partial<Record<'control' | 'gateway', ProgramReady>> = {};
  const stopped = new Promise<'stopped'>((resolve) => {
    deps.stop.signal.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
  const start = (row: ProcessRow): Child =>
    superviseChild({
      row,
      path: programPath(row.name),
      cwd: join(deps.dataDir, RUN_FOLDER),
      env: () => childEnvironment(process.env, { ...deps.given, ...knownPorts(ready) }),
      onOutput: (lines) => deps.sink.lines(lines),
      onErrorText: (text) => deps.sink.text(row.name, text),
      onEvent: (level, message) => deps.sink.event(level, message),
    });
  for (const group of deps.groups) {
    const members = group.map(start);
    deps.children.push(...members);
    const titles = group.map(({ title }) => title).join(', ');
    const outcomes = Promise.all(members.map(({ started }) => started));
    const outcome = await withProgress(deps.out, `Starting ${titles}`, () => Promise.race([outcomes, stopped]));
    if (outcome === 'stopped') return 'stopped';
    for (const [i, one] of outcome.entries()) {
      const { name, title } = group[i]!;
      if (!('type' in one)) throw startFailure(title, one, shown(join(deps.dataDir, LOG_FILE)));
      ready[name] ??= one;
    }
  }
  return ready as { control: ProgramReady; gateway: ProgramReady };
}

/** Whatever else keeps a process from starting is a wrong setting. */
const REASON_OF_FATAL: Readonly<Record<string, ExitReason>> = {
  port_taken: 'conflict',
  data_locked: 'conflict',
  data_newer: 'conflict',
  disk_full: 'unavailable',
  data_unwritable: 'unavailable',
  internal: 'unexpected',
};

function startFailure(name: string, end: ChildEnd, logFile: string): CliError {
  if (end.kind === 'fatal') {
    const { code, message, hint } = end.fatal;
    return new CliError(REASON_OF_FATAL[code] ?? 'usage', message, { code, ...(hint === null ? {} : { hint }) });
  }
  if (end.kind === 'slow') {
    return new CliError('unavailable', `The ${name} process was not ready within ${end.waitedMs / 1000} s`, {
      code: 'not_ready',
      hint: `The last lines of ${logFile} say how far it came.`,
    });
  }
  return new CliError('unexpected', `The ${name} process ended ${end.attempts} times while starting`, {
    code: 'internal',
    hint: `${logFile} has its last words.`,
  });
}

/** Runs something that may take a while and says so: at once on a terminal, every 2 s elsewhere. */
async function withProgress<T>(out: Output, what: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  out.progress(`${what} …`);
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - started) / 1000);
    if (process.stderr.isTTY) out.progress(`${what} … ${seconds} s`);
    else out.note(`${what}: ${seconds} s so far`);
  }, 1900);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    out.progress(null);
  }
}
