import { connect, type Socket } from 'node:net';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import type { VersionState } from '../endpoints/desired-state.ts';
import { createCallQueue } from './call-queue.ts';
import { refusalIn, refusedCall, shuttingDown } from './refusal.ts';
import { createRemoteLink, type RemoteLink } from './remote-link.ts';
import type { JoinMessage, StatusMessage } from './remote-message.ts';
import type { RunnerSupervisor, SupervisorDeps } from './runner-supervisor.ts';

/** Relative to the working directory `<data>/run`, because a socket's path may have only about 100 bytes. */
export const OWNER_SOCKET = 'owner.sock';

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 250;
/** How often deadlines are looked at while there are calls. */
const WATCH_MS = 20;

export type RemoteSpec = JoinMessage & {
  readonly signature: Signature;
  readonly limits: { readonly queueLimit: number; readonly maxBatchRows: number };
  /** Path of the owner's socket. */
  readonly socketPath: string;
};

/**
 * A version whose runner another gateway of this machine keeps, the owner, behind the face of a runner's supervisor. Its calls go into the owner's
 * queue. While the owner is away they wait here, bounded and with their deadlines; those that it had when it ended go to its successor, once.
 */
export function superviseRemote(spec: RemoteSpec, deps: SupervisorDeps): RunnerSupervisor {
  const { log, clock, retryAfterS = 1, onChange } = deps;
  const { queueLimit, maxBatchRows } = spec.limits;
  const queue = createCallQueue({ limit: queueLimit, retryAfterS });
  // The owner refuses what is more; this bounds what is on its way to one that does not read.
  const maxCalls = queueLimit + 4 * maxBatchRows;
  let socket: Socket | null = null;
  let link: RemoteLink | null = null;
  let told: StatusMessage | null = null;
  let state: VersionState = 'loading';
  let reason: string | null = WAITS_FOR_OWNER;
  let since = clock.now();
  let failures = 0;
  let retry: NodeJS.Timeout | null = null;
  let watch: NodeJS.Timeout | null = null;
  let closed: PromiseWithResolvers<void> | null = null;

  const become = (next: VersionState, why: string | null): void => {
    if (state === 'draining' || (state === next && reason === why)) return;
    if (state !== next) since = clock.now();
    state = next;
    reason = why;
    log.info({ version: spec.version, state, reason: why ?? undefined }, 'version state');
    onChange?.(status());
  };

  const status = (): ReturnType<RunnerSupervisor['status']> => ({
    state,
    reason,
    since,
    restarts: told?.restarts ?? 0,
    memoryBytes: told?.memoryBytes ?? null,
    waiting: queue.size,
    openLimit: told?.openLimit ?? null,
  });

  const take = (status: StatusMessage): void => {
    told = status;
    link?.open(status.joined);
    // One that is being stopped there has a successor, which this version waits for.
    if (status.state === 'draining') become('restarting', OWNER_STOPS);
    else become(status.state, status.reason);
    const refused = refusal();
    if (refused !== null && closed === null) queue.failAll(refused);
  };

  const dial = (): void => {
    retry = null;
    const mine = connect(spec.socketPath);
    socket = mine;
    mine.on('connect', () => {
      failures = 0;
      link = createRemoteLink({
        socket: mine,
        signature: spec.signature,
        queue,
        maxCalls,
        onStatus: take,
        onViolation: (what) => {
          log.error({ version: spec.version, what }, 'the owner broke the rules of the line; connecting anew');
          mine.destroy();
        },
      });
      link.join({ version: spec.version, identity: spec.identity });
    });
    mine.on('error', () => {}); // 'close' follows
    mine.on('close', () => {
      if (socket !== mine) return;
      socket = null;
      lose();
      if (closed !== null) return settleClose();
      become(told === null ? 'loading' : 'restarting', told === null ? WAITS_FOR_OWNER : OWNER_GONE);
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures++, 10));
      retry = setTimeout(dial, pauseMs * (0.5 + Math.random() / 2));
    });
  };

  /** The owner is gone with the calls that it had. */
  const lose = (): void => {
    const lost = link?.end() ?? [];
    link = null;
    const again = closed === null ? lost.filter((call) => ++call.losses < 2) : [];
    for (const call of lost) {
      if (again.includes(call)) continue;
      call.fail(
        new SlipwayError('runner_crashed', 'The gateway that runs the model ended', {
          retryAfterS,
          hint: 'It is started again by itself. Retry in a moment.',
        }),
      );
    }
    queue.putBack(again);
  };

  const refusal = (): SlipwayError | null => refusalIn(state, reason, retryAfterS);

  /** Looks at deadlines while there are calls; without any, nothing runs here. */
  const look = (): void => {
    const nowMs = performance.now();
    queue.expire(nowMs);
    link?.check(nowMs);
    const busy = queue.size + (link?.outstanding ?? 0) > 0;
    watch = busy ? setTimeout(look, WATCH_MS) : null;
    if (closed !== null) settleClose();
  };

  const settleClose = (): void => {
    // Calls that the owner has, or will take, are answered; what nobody takes any more is not waited for.
    const taken = link !== null && told?.joined === true;
    if (taken && queue.size > 0) return;
    queue.failAll(shuttingDown(retryAfterS));
    if (link !== null && link.outstanding > 0) return;
    if (retry !== null) clearTimeout(retry);
    if (watch !== null) clearTimeout(watch);
    const last = socket;
    socket = null;
    link?.end();
    link = null;
    last?.destroy();
    closed!.resolve();
  };

  dial();

  return {
    status,
    pid: undefined,
    refusal: (flow) => refusal() ?? queue.refusal(flow),
    infer(inputs, rows, options, done) {
      const refused = refusal();
      if (refused !== null) return refusedCall(refused, done);
      watch ??= setTimeout(look, WATCH_MS);
      return queue.add(inputs, rows, options, done);
    },
    close() {
      if (closed === null) {
        closed = Promise.withResolvers<void>();
        become('draining', 'The version is being stopped.');
        look();
      }
      return closed.promise;
    },
  };
}

const WAITS_FOR_OWNER = 'The gateway that keeps the runners is not there yet.';
const OWNER_GONE = 'The gateway that keeps the runners ended; it is started again.';
const OWNER_STOPS = 'The gateway that keeps the runners stops this version.';
