/**
 * What crosses between the gateways of one machine, beside calls and answers (frames.ts). The owner is the gateway that keeps the runners;
 * a guest has one connection for each version that it serves:
 *
 *     guest   join                  which version, by the identity that both know it by
 *     owner   status                how it is: at once and on every change
 *     guest   flow, infer, cancel   calls, while the status says that they are taken
 *     owner   result, refusal, skipped   exactly one for each call; `skipped` only for one that was cancelled
 *
 * Each side checks everything that it reads: what breaks a rule is a FrameError, which ends the connection and nothing else.
 */
import type { SlipwayError } from '../../base/errors.ts';
import { fromWireError, toWireError, type WireError } from '../../base/wire-error.ts';
import type { VersionState } from '../endpoints/desired-state.ts';
import { FrameError } from './frames.ts';
import type { Priority } from './runner.ts';

export type JoinMessage = {
  /** `project/model@version`. */
  readonly version: string;
  /** What must be equal on both sides for an answer to be that of the version meant. */
  readonly identity: string;
};

export type StatusMessage = {
  /** Whether the owner has this version and takes calls for it. Until then they wait at the guest. */
  readonly joined: boolean;
  readonly state: VersionState;
  readonly reason: string | null;
  /** RFC 3339. */
  readonly since: string;
  readonly restarts: number;
  readonly memoryBytes: number | null;
  readonly openLimit: number | null;
};

export type FlowMessage = {
  /** Id of the caller's key; null: none. */
  readonly key: string | null;
  readonly priority: Priority | null;
};

const STATES: Readonly<Record<VersionState, true>> = {
  loading: true,
  warming: true,
  ready: true,
  restarting: true,
  quarantined: true,
  failed: true,
  draining: true,
};

/** Each takes what `readJson` gave. @throws FrameError */
export function readJoin(message: object): JoinMessage {
  const { version, identity } = message as Partial<JoinMessage>;
  if (typeof version !== 'string' || typeof identity !== 'string') throw new FrameError('it joins no version');
  return { version, identity };
}

export function readStatus(message: object): StatusMessage {
  const { joined, state, reason, since, restarts, memoryBytes, openLimit } = message as Partial<StatusMessage>;
  const good =
    typeof joined === 'boolean' &&
    typeof state === 'string' &&
    Object.hasOwn(STATES, state) &&
    (reason === null || typeof reason === 'string') &&
    typeof since === 'string' &&
    Number.isFinite(Date.parse(since)) &&
    Number.isSafeInteger(restarts) &&
    isNumberOrNull(memoryBytes) &&
    isNumberOrNull(openLimit);
  if (!good) throw new FrameError('a status is not whole');
  return message as StatusMessage;
}

export function readFlow(message: object): FlowMessage {
  const { key, priority } = message as Partial<FlowMessage>;
  const known = priority === null || priority === 'high' || priority === 'normal' || priority === 'low';
  if (!known || (key !== null && typeof key !== 'string')) throw new FrameError('a flow is not whole');
  return { key, priority };
}

export const writeRefusal = (error: SlipwayError): WireError => toWireError(error);

export function readRefusal(message: object): SlipwayError {
  const { code, message: text, hint, fields, retryAfterS } = message as Partial<WireError>;
  const good =
    typeof code === 'string' &&
    typeof text === 'string' &&
    (hint === undefined || typeof hint === 'string') &&
    Array.isArray(fields) &&
    (retryAfterS === undefined || Number.isFinite(retryAfterS));
  if (!good) throw new FrameError('a refusal is not whole');
  return fromWireError(message as WireError);
}

function isNumberOrNull(value: unknown): boolean {
  return value === null || (typeof value === 'number' && Number.isFinite(value));
}
