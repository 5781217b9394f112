import { connect, type Socket } from 'node:net';
import { SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { fromWireError, type WireError } from '../../base/wire-error.ts';
import { createLineReader } from '../endpoints/control-line.ts';
import { CONTROL_SOCKET } from '../endpoints/control-socket.ts';
import type { DesiredState, ObservedState } from '../endpoints/desired-state.ts';
import type { ChangeAsked } from '../endpoints/endpoint-change.ts';

const OBSERVE_MS = 2_000;
const METRICS_MS = 5_000;
/** A change is one transaction; control that takes longer is stuck. */
const CHANGE_MS = 10_000;
/** Making a model of a folder reads it, and runs it once. */
const FOLDER_MS = 300_000;
/** Changes asked for at one time. Each holds a request open. */
const MAX_CHANGES = 100;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;
/** A control that reads nothing must not make the gateway hoard what it would tell it. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

export type ControlLink = {
  /** Tells control at the end of this turn of the event loop what is observed. */
  observedChanged(): void;
  /**
   * Asks control for a change in a caller's name; settles when it is committed.
   * @throws SlipwayError what control says; `not_ready` when it is not there or does not answer, and then it may have been done or not
   */
  change(asked: ChangeAsked): Promise<void>;
  /**
   * Sends a message of a further kind, of any `type` that is not the link's own.
   * @returns false when it was not sent: control is away, or reads too slowly. It is the sender's to say the same, or something newer, later
   */
  send(message: { readonly type: string; readonly [field: string]: unknown }): boolean;
  close(): void;
};

export type ControlLinkDeps = {
  readonly instance: string;
  readonly httpUrl: string;
  readonly log: Logger;
  readonly generation: () => number;
  readonly observe: () => ObservedState;
  readonly metricsText: () => string;
  readonly onState: (state: DesiredState) => void;
  /** Takes control's messages of further kinds, by their `type`. */
  readonly kinds?: Readonly<Record<string, (message: object) => void>>;
  /** Called whenever the line stands again, after the greeting: what control must not miss is sent anew. */
  readonly onConnected?: () => void;
};

/** The gateway's end of the line to control. It may break at any time and for any long: nothing here waits for it. */
export function openControlLink(deps: ControlLinkDeps): ControlLink {
  const { log, instance, httpUrl, kinds = {} } = deps;
  let socket: Socket | null = null;
  let connected = false;
  let closed = false;
  let failures = 0;
  let retry: NodeJS.Timeout | null = null;
  let scheduled = false;
  let nextChange = 1;
  const changes = new Map<number, { settle: (error: SlipwayError | null) => void }>();

  const send = (message: object): boolean => {
    if (!connected || socket === null || socket.writableLength > MAX_UNSENT_BYTES) return false;
    socket.write(`${JSON.stringify(message)}\n`);
    return true;
  };
  const sendObserved = (): void => void send({ type: 'observed', observed: deps.observe() });

  const take = (message: object): void => {
    const { type, state, id, error } = message as {
      type?: unknown;
      state?: unknown;
      id?: number;
      error?: WireError | null;
    };
    if (type === 'state') deps.onState(state as DesiredState);
    else if (type === 'changed') changes.get(id!)?.settle(error ? fromWireError(error) : null);
    else {
      const take = Object.hasOwn(kinds, String(type)) ? kinds[String(type)] : undefined;
      if (take === undefined) log.warn({ type }, 'unknown message from control');
      else take(message);
    }
  };

  const dial = (): void => {
    retry = null;
    const mine = connect(CONTROL_SOCKET);
    socket = mine;
    mine.on('connect', () => {
      connected = true;
      failures = 0;
      log.info('connected to control');
      send({ type: 'hello', instance, httpUrl, generation: deps.generation() });
      sendObserved();
      deps.onConnected?.();
    });
    mine.on(
      'data',
      createLineReader(take, (fault) => {
        log.error({ fault }, 'control sent what is not a message; connecting anew');
        mine.destroy();
      }),
    );
    mine.on('error', () => mine.destroy());
    mine.on('close', () => {
      if (connected) log.warn('control is gone; serving on from the last state');
      connected = false;
      socket = null;
      for (const { settle } of changes.values()) settle(noControl('went away before it answered'));
      if (closed) return;
      // Full jitter, so that gateways cut off together do not come back together.
      const pauseMs =
        Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures++, 10)) * (0.5 + Math.random() / 2);
      retry = setTimeout(dial, pauseMs);
    });
  };

  const observing = setInterval(sendObserved, OBSERVE_MS);
  const counting = setInterval(() => {
    if (connected) send({ type: 'metrics', text: deps.metricsText() });
  }, METRICS_MS);
  dial();

  return {
    observedChanged() {
      if (scheduled || closed) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        sendObserved();
      });
    },
    change(asked) {
      if (!connected) return Promise.reject(noControl('is not running'));
      if (changes.size >= MAX_CHANGES) return Promise.reject(noControl('has too much to do'));
      const id = nextChange++;
      return new Promise((resolve, reject) => {
        const settle = (error: SlipwayError | null): void => {
          clearTimeout(timer);
          changes.delete(id);
          if (error === null) resolve();
          else reject(error);
        };
        const timer = setTimeout(
          () => settle(noControl('did not answer in time')),
          'create' in asked.change && 'folder' in asked.change.create ? FOLDER_MS : CHANGE_MS,
        );
        changes.set(id, { settle });
        send({ type: 'change', id, ...asked });
      });
    },
    send,
    close() {
      closed = true;
      clearInterval(observing);
      clearInterval(counting);
      if (retry !== null) clearTimeout(retry);
      socket?.destroy();
    },
  };
}

function noControl(why: string): SlipwayError {
  return new SlipwayError('not_ready', `What is served cannot be changed now: control ${why}`, {
    retryAfterS: 1,
    hint: 'Predictions go on. It is started again by itself; see `slipway logs`, then look what is loaded and retry.',
  });
}
