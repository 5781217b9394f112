import type { DeployEvent, Version } from '../../sdk/src/client.ts';
import { commandText } from './command-text.ts';
import { count, formatBytes, formatMs } from './terminal.ts';
import { createUploadProgress } from './upload-progress.ts';
import type { VerbCall } from './verb.ts';

/** Seconds of waiting after which a line is written where no terminal can show a running clock; then every minute. */
const NOTED_AFTER_S = [2, 5, 10, 20, 40];

/** Whether to say again that it is still going on. */
export function isNoted(seconds: number): boolean {
  return NOTED_AFTER_S.includes(seconds) || (seconds > 0 && seconds % 60 === 0);
}

export type DeployProgress = {
  onEvent(event: DeployEvent): void;
  /** What holds if it ends here, for who pressed Ctrl-C. */
  whereItStopped(): string;
  stop(): void;
};

/** Messages while it goes on, and after 2 s of silence what it is waiting for. */
export function createProgress({ out, options }: VerbCall, sizeBytes: number): DeployProgress {
  const upload = createUploadProgress(out, sizeBytes);
  let waitingFor = 'Uploading';
  let limit = '';
  let quietSince = performance.now();
  let stopped = 'What was sent is kept; repeat the command to go on where it stopped.';
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - quietSince) / 1000);
    if (seconds < 1) return;
    if (process.stderr.isTTY) out.progress(`${waitingFor} … ${seconds} s${limit}`);
    else if (isNoted(seconds)) out.note(`${waitingFor}: ${seconds} s so far${limit}`);
  }, 1000);
  const tell = (done: string | null, next: string, until = ''): void => {
    if (done !== null) out.note(done);
    waitingFor = next;
    limit = until;
    quietSince = performance.now();
    out.progress(`${next} …`);
  };
  return {
    stop() {
      clearInterval(timer);
      out.progress(null);
    },
    whereItStopped: () => stopped,
    onEvent(event) {
      switch (event.kind) {
        case 'upload':
          quietSince = performance.now();
          return upload(event.progress);
        case 'model_created':
          return tell(null, `Registering the first version of ${event.model}`);
        case 'validating': {
          const name = `${event.version.model}@${event.version.version}`;
          stopped = `${name} is registered, and the server goes on validating it; no endpoint was made or moved. Look: ${commandText(options, `versions show ${name}`)}`;
          return tell(
            `Registered ${name} (${formatBytes(sizeBytes)})`,
            `Validating ${name}`,
            limitsText(event.version),
          );
        }
        case 'progress':
          if (!process.stderr.isTTY) out.note(event.reason);
          quietSince = performance.now();
          waitingFor = event.reason;
          limit = '';
          return out.progress(event.reason);
        case 'validated': {
          const name = `${event.version.model}@${event.version.version}`;
          stopped = `${name} is registered and validated. Whether an endpoint was moved: ${commandText(options, 'endpoints list')}`;
          return tell(null, 'Setting the endpoint');
        }
        case 'switching': {
          const { name } = event.endpoint;
          stopped = `Endpoint ${name} is set, and the server goes on moving it; until then the version before answers. Look: ${commandText(options, `why ${name}`)}`;
          return tell(null, `Loading and warming for endpoint ${name}`, '; gives up waiting after 5 min');
        }
        case 'waiting':
          waitingFor = event.reason.replace(/\.$/, '');
          return out.progress(event.reason);
      }
    },
  };
}

/** How long each step may take at most. */
function limitsText({ limits }: Version): string {
  return `; loading may take ${formatMs(limits.loadTimeoutMs)}, each run ${formatMs(limits.runTimeoutMs)} at most (${count(limits.threads, 'thread')})`;
}
