import { SlipwayError, toSlipwayError } from './errors.ts';
import { readSettings, type Settings } from './settings.ts';

/** What a program tells the process that started it, over its IPC channel. */
export type ProgramMessage = ProgramReady | ProgramAssessed | ProgramFatal;
export type ProgramReady = {
  readonly type: 'ready';
  readonly url: string;
  /** The text of the first key, when it was made now. */
  readonly adminKey: string | null;
  /** `host:port` of a gateway's gRPC listener, where it has one. */
  readonly grpcAddress: string | null;
  /** Where a gateway speaks one protocol alone, by its name. */
  readonly protocolUrls: Readonly<Record<string, string>>;
};
/** Why the program cannot do its work yet, or not any more; null when it can. */
export type ProgramAssessed = { readonly type: 'assessed'; readonly reason: string | null };
export type ProgramFatal = {
  readonly type: 'fatal';
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
};

export type Lifecycle = {
  /** Tells the supervisor that the program answers at `url`. */
  ready(url: string, more?: Partial<Pick<ProgramReady, 'adminKey' | 'grpcAddress' | 'protocolUrls'>>): void;
  /** Tells the supervisor why what it serves does not answer; null when it does. Telling the same again costs nothing. */
  assessed(reason: string | null): void;
  /** Runs when the program is to end: on SIGTERM, or when its supervisor is gone. Called once; the process exits after it. */
  onStop(stop: () => Promise<void>): void;
};

/** Exit code of a program that could not start for a reason that a restart does not mend. */
export const EXIT_FATAL = 4;

/**
 * Runs one of Slipway's programs: reads the settings from the environment, ends cleanly on SIGTERM and when the supervisor
 * disappears, and reports a failed start as data rather than as a stack.
 */
export async function runProgram(
  name: string,
  start: (settings: Settings, lifecycle: Lifecycle) => Promise<void>,
): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  let stopping = false;
  const tell = (message: ProgramMessage): void => {
    if (process.connected) process.send?.(message);
  };
  let lastReason: string | null | undefined;
  const stop = async (code: number): Promise<void> => {
    if (stopping) return;
    stopping = true;
    for (const one of stops.reverse()) await one().catch((error: unknown) => console.error(error));
    process.exit(code);
  };
  const fail = async (error: unknown): Promise<void> => {
    const known = toSlipwayError(error);
    if (!(error instanceof SlipwayError)) console.error(error);
    tell({ type: 'fatal', code: known.code, message: `${name}: ${known.message}`, hint: known.hint ?? null });
    await stop(EXIT_FATAL);
  };
  // A terminal sends SIGINT to the whole group; only the supervisor decides what it means.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => void stop(0));
  process.on('disconnect', () => void stop(0));
  try {
    const { settings } = readSettings(process.env);
    await start(settings, {
      ready: (url, more = {}) =>
        tell({ type: 'ready', url, adminKey: null, grpcAddress: null, protocolUrls: {}, ...more }),
      assessed: (reason) => {
        if (reason !== lastReason) tell({ type: 'assessed', reason });
        lastReason = reason;
      },
      onStop: (one) => stops.push(one),
    });
  } catch (error) {
    await fail(error);
  }
}
