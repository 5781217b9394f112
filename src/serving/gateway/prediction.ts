import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Answered, InferRequest, InferRoute, WireAnswer } from '../protocols/protocol.ts';
import type { CallTimings, Priority } from '../runner/runner.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import type { Account } from './account.ts';
import { bytesOf } from './answer-memory.ts';
import { CLIENT_CLOSED } from './client-closed.ts';
import type { Connection, Exchange, OpenCall } from './exchange.ts';
import type { Route } from './find-endpoint.ts';
import { isFew, type LargeAnswers, takesLong } from './large-answers.ts';
import type { Meter } from './metrics.ts';
import type { ObservedPrediction, Outcome, PredictionObserver } from './prediction-observer.ts';
import type { Match } from './route-table.ts';
import { stagesTiming } from './server-timing.ts';
import { sliceOf } from './split-routing.ts';
import type { UnreadAnswers } from './unread-answers.ts';

/** Longest deadline that a caller may name. */
const LONGEST_TIMEOUT_MS = 3_600_000;

/** The way from a parsed request to an answer. Deps are the gateway's own; nothing is made per request that need not be. */
export type PredictionDeps = {
  readonly answer: (exchange: Exchange, content: Content) => void;
  /** Gives the status. */
  readonly refuse: (exchange: Exchange, error: SlipwayError) => number;
  readonly largeAnswers: LargeAnswers;
  readonly unread: UnreadAnswers;
  readonly observe: PredictionObserver | null;
};

type Content = string | WireAnswer;

/** One prediction on its way to a version. */
type Asked = {
  readonly exchange: Exchange;
  readonly match: Match<InferRoute>;
  readonly route: Route;
  readonly meter: Meter;
  readonly inferRequest: InferRequest;
  readonly account: Account;
  /** By `performance.now()`. */
  readonly deadlineMs: number;
  /** From the first byte of the request until its inputs were read and checked. */
  readonly inputMs: number;
};

/**
 * Computes and answers one prediction.
 * @param account whose quota and place in the queue it takes
 * @param priority of the header; the body's own counts when there is none
 * @param timeoutMs the whole time the caller gives, from the first byte of the request
 */
export function predict(
  deps: PredictionDeps,
  exchange: Exchange,
  match: Match<InferRoute>,
  route: Route,
  meter: Meter,
  inferRequest: InferRequest,
  account: Account,
  priority: Priority | undefined,
  timeoutMs: number,
): void {
  const { connection, startedMs } = exchange;
  const { inputs, rows } = inferRequest;
  const givenMs = Math.min(timeoutMs, inferRequest.timeoutMs ?? timeoutMs);
  const nowMs = performance.now();
  const inputMs = nowMs - startedMs;
  const leftMs = givenMs - inputMs;
  if (leftMs <= 0) throw tooLate(givenMs);
  const supervisor = route.version.supervisor!;
  const deadlineMs = startedMs + givenMs;
  const asked: Asked = { exchange, match, route, meter, inferRequest, account, deadlineMs, inputMs };
  if (supervisor.runNow !== undefined) {
    const outputs = supervisor.runNow(inputs, rows);
    if (outputs !== null) {
      settle(deps, asked, null, outputs, { queueMs: 0, runMs: performance.now() - nowMs, batchRows: rows });
      return;
    }
  }
  const done = (error: SlipwayError | null, outputs: readonly Tensor[] | null, timings: CallTimings): void => {
    connection.calls.splice(connection.calls.indexOf(call), 1);
    meter.inFlight -= 1;
    account.end();
    settle(deps, asked, error, outputs, timings);
  };
  account.begin();
  meter.inFlight += 1;
  const options = { timeoutMs: leftMs, flow: account, priority: priority ?? inferRequest.priority };
  const handle = supervisor.infer(inputs, rows, options, done);
  const call: OpenCall = { handle, meter, account, startedMs, onCancel: onCancelOf(deps, asked) };
  connection.calls.push(call);
}

/** Answers, and counts what was answered. */
function settle(
  deps: PredictionDeps,
  asked: Asked,
  error: SlipwayError | null,
  outputs: readonly Tensor[] | null,
  timings: CallTimings,
): void {
  const computedMs = performance.now();
  if (error !== null) conclude(deps, asked, error, null, null, timings, computedMs);
  else if (isFew(outputs!)) writeNow(deps, asked, outputs!, timings, computedMs);
  else settleMuch(deps, asked, outputs!, timings, computedMs);
}

function writeNow(
  deps: PredictionDeps,
  asked: Asked,
  outputs: readonly Tensor[],
  timings: CallTimings,
  computedMs: number,
): void {
  let content: Content | null = null;
  let error: SlipwayError | null = null;
  try {
    content = asked.match.route.write(asked.inferRequest, outputs, answeredOf(asked));
  } catch (thrown) {
    error = toSlipwayError(thrown);
  }
  conclude(deps, asked, error, content, outputs, timings, computedMs);
}

/** Large answers need room, and are written in a thread where that takes long. Then the call is under way until they are. */
function settleMuch(
  deps: PredictionDeps,
  asked: Asked,
  outputs: readonly Tensor[],
  timings: CallTimings,
  computedMs: number,
): void {
  const { exchange, match, meter, inferRequest, account, deadlineMs } = asked;
  const { connection, startedMs } = exchange;
  try {
    deps.unread.makeRoom(bytesOf(outputs));
  } catch (thrown) {
    conclude(deps, asked, toSlipwayError(thrown), null, null, timings, computedMs);
    return;
  }
  if (!takesLong(match.route, inferRequest, outputs)) {
    writeNow(deps, asked, outputs, timings, computedMs);
    return;
  }
  const seen = deps.observe === null ? outputs : outputs.map(copyOf); // their memory goes to the thread
  const done = (error: SlipwayError | null, content: Content | null): void => {
    connection.calls.splice(connection.calls.indexOf(call), 1);
    meter.inFlight -= 1;
    account.end();
    conclude(deps, asked, error, content, seen, timings, computedMs);
  };
  account.begin();
  meter.inFlight += 1;
  const work = {
    protocol: match.protocol.name,
    path: match.route.path,
    request: inferRequest,
    outputs,
    answered: answeredOf(asked),
  };
  const handle = deps.largeAnswers.write(work, deadlineMs, done);
  const call: OpenCall = { handle, meter, account, startedMs, onCancel: onCancelOf(deps, asked) };
  connection.calls.push(call);
}

function answeredOf({ exchange, match, route: { version } }: Asked): Answered {
  return {
    endpoint: match.ref!.name,
    version: version.spec.version,
    predictionId: exchange.predictionId,
    signature: version.spec.signature,
  };
}

/** @param content and outputs: null when there is an error */
function conclude(
  deps: PredictionDeps,
  asked: Asked,
  error: SlipwayError | null,
  content: Content | null,
  outputs: readonly Tensor[] | null,
  timings: CallTimings,
  computedMs: number,
): void {
  const { exchange, meter, inferRequest, inputMs } = asked;
  const { batchRows, queueMs, runMs } = timings;
  let status = 200;
  let failure = error;
  if (error !== null) status = deps.refuse(exchange, error);
  else {
    try {
      exchange.stages = stagesTiming(inputMs, queueMs, runMs, performance.now() - computedMs);
      deps.answer(exchange, content!);
    } catch (thrown) {
      failure = toSlipwayError(thrown);
      status = deps.refuse(exchange, failure);
    }
  }
  const endedMs = performance.now();
  const totalMs = endedMs - exchange.startedMs;
  meter.count(status, totalMs, batchRows);
  if (status !== 200) meter.statistics.fail(totalMs);
  else {
    meter.statistics.succeed(inferRequest.rows, batchRows, totalMs, inputMs, queueMs, runMs, endedMs - computedMs);
  }
  if (deps.observe === null) return;
  const { match, route } = asked;
  const outcome: Outcome =
    failure === null ? { kind: 'answered', outputs: outputs! } : { kind: 'failed', code: failure.code };
  deps.observe(observed(exchange, match, route, inferRequest, outcome, totalMs, queueMs, runMs));
}

/** @param inferRequest null where the body was not read as inputs */
export function observed(
  { predictionId, requestId, protocol, atMs, wire }: Exchange,
  { project, ref }: Match,
  { version, assignment, endpoint }: Route,
  inferRequest: InferRequest | null,
  outcome: Outcome,
  latencyMs: number,
  queueMs: number,
  runMs: number,
): ObservedPrediction {
  const { spec } = version;
  const inputs = inferRequest === null ? null : inferRequest.inputs;
  return {
    predictionId,
    requestId,
    atMs,
    project,
    endpoint: ref!.name,
    model: spec.model,
    version: spec.version,
    versionDigest: spec.digest,
    protocol: protocol.name,
    signature: spec.signature,
    assignment,
    split: endpoint.split === null ? null : endpoint.split.spec,
    slice: sliceOf(endpoint.split, wire.headers, null, inputs),
    outcome,
    inputs,
    rows: inferRequest === null ? 0 : inferRequest.rows,
    latencyMs,
    queueMs,
    runMs,
    shadowOf: null,
  };
}

const GONE: Outcome = { kind: 'failed', code: 'client_closed' };

function onCancelOf(deps: PredictionDeps, asked: Asked): OpenCall['onCancel'] {
  const { observe } = deps;
  if (observe === null) return null;
  return (latencyMs) =>
    observe(observed(asked.exchange, asked.match, asked.route, asked.inferRequest, GONE, latencyMs, 0, 0));
}

function copyOf(tensor: Tensor): Tensor {
  return Array.isArray(tensor.data) ? tensor : { ...tensor, data: (tensor.data as NumericData).slice() };
}

/** Gives up the calls of a connection that is gone: those that were not started never will be. */
export function cancelCalls({ calls }: Connection): void {
  for (const { handle, meter, account, startedMs, onCancel } of calls.splice(0)) {
    handle.cancel();
    meter.inFlight -= 1;
    account.end();
    const ms = performance.now() - startedMs;
    meter.count(CLIENT_CLOSED, ms, 0);
    meter.statistics.cancel(ms);
    onCancel?.(ms);
  }
}

function tooLate(timeoutMs: number): SlipwayError {
  return new SlipwayError(
    'deadline_exceeded',
    `The deadline of ${timeoutMs} ms passed while the request was received`,
    {
      hint: 'Give it longer: X-Request-Timeout-Ms, or parameters.timeout (microseconds) where the body has one; the smaller counts.',
    },
  );
}

/**
 * @param header X-Request-Timeout-Ms
 * @throws SlipwayError `invalid_request`
 */
export function timeoutOf(header: string | readonly string[] | undefined, defaultMs: number): number {
  if (header === undefined) return defaultMs;
  const value = typeof header === 'string' && /^\d{1,7}$/.test(header) ? Number(header) : 0;
  if (value >= 1 && value <= LONGEST_TIMEOUT_MS) return value;
  throw new SlipwayError('invalid_request', 'X-Request-Timeout-Ms is not a usable number of milliseconds', {
    hint: `Send a whole number from 1 to ${LONGEST_TIMEOUT_MS}.`,
  });
}
