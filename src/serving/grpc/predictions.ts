/** Predictions over gRPC, whatever their messages look like: the way from a message to an answer, with the same checks, quotas and counts as over HTTP. */
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Account } from '../gateway/account.ts';
import { type Admission, priorityOf } from '../gateway/admission.ts';
import { CLIENT_CLOSED } from '../gateway/client-closed.ts';
import type { EndpointFinder, Route } from '../gateway/find-endpoint.ts';
import type { InferenceAccess } from '../gateway/inference-access.ts';
import type { GatewayMetrics, Meter } from '../gateway/metrics.ts';
import type { Outcome, PredictionObserver } from '../gateway/prediction-observer.ts';
import type { ServedVersion } from '../gateway/served-version.ts';
import { type CallContent, type SplitCall, sliceOf } from '../gateway/split-routing.ts';
import { decodeRequest } from '../protocols/decode-request.ts';
import type { InferRequest } from '../protocols/protocol.ts';
import { seldonModelOf } from '../protocols/seldon-model.ts';
import type { CallHandle, CallTimings, Priority } from '../runner/runner.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { GrpcCall } from './grpc-call.ts';
import { httpStatusOf } from './grpc-status.ts';
import { createModelNames, type NamedModel } from './named-model.ts';

export type PredictionDeps = {
  readonly access: InferenceAccess;
  readonly admission: Admission;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  /** Deadline of a call that names none. */
  readonly requestTimeoutMs: number;
  /** @throws SlipwayError when the gateway does not know its endpoints yet */
  readonly assertTold: () => void;
  readonly observe: PredictionObserver | null;
};

/** How a protocol's messages are read and written. */
export type MessageForm<W extends WireMessage> = {
  /** As observers are told it. */
  readonly protocol: string;
  /** Metadata that names the endpoint in place of the message, in calls that have it. */
  readonly routedBy?: string;
  /** Without looking at tensors. @throws SlipwayError */
  read(message: Buffer): W;
  /** @throws SlipwayError */
  parse(wire: W, target: InputTarget): InferRequest;
  /** The whole answer, behind its gRPC prefix. */
  write(prediction: Prediction<W>, outputs: readonly Tensor[]): Buffer;
  /** The error as the protocol words it. */
  tell?(error: SlipwayError, wire: W | null): SlipwayError;
};

export type WireMessage = {
  /** `endpoint`, `endpoint@version` or `project/endpoint`. */
  readonly modelName: string;
  /** Empty where there is none. */
  readonly modelVersion: string;
  /** An alias instead of a version. */
  readonly label?: string;
};

export type Predictions = {
  /** Looks at who asks. @throws SlipwayError */
  admit(call: GrpcCall): void;
  /** Computes one message. `done` is called once, perhaps before this returns; not after a cancellation. */
  start<W extends WireMessage>(
    call: GrpcCall,
    form: MessageForm<W>,
    message: Buffer,
    startedMs: number,
    done: Done<W>,
  ): Prediction<W>;
  /** Answers a unary call. */
  answer<W extends WireMessage>(call: GrpcCall, form: MessageForm<W>, message: Buffer): void;
};

export function createPredictions(deps: PredictionDeps): Predictions {
  const { access, admission, finder, metrics } = deps;
  const nameOf = createModelNames();

  const meterFor = (named: NamedModel, version: ServedVersion): Meter => {
    const number = version.spec.version;
    if (named.meter !== null && named.meterOf === number) return named.meter;
    named.meterOf = number;
    named.meter = metrics.meter({ project: named.project, endpoint: named.ref!.name, version: number });
    return named.meter;
  };

  const follow = <W extends WireMessage>(prediction: Prediction<W>, named: NamedModel, route: Route): void => {
    prediction.route = route;
    prediction.version = `${route.version.spec.version}`;
    prediction.meter = meterFor(named, route.version);
  };

  const start = <W extends WireMessage>(
    call: GrpcCall,
    form: MessageForm<W>,
    message: Buffer,
    startedMs: number,
    done: Done<W>,
  ): Prediction<W> => {
    const prediction = new Prediction(call, form, startedMs, done, deps.observe);
    try {
      const wire = form.read(message);
      const routed = form.routedBy === undefined ? null : seldonModelOf(call.headers.more?.get(form.routedBy));
      const named = nameOf(routed ?? wire.modelName, wire.modelVersion, wire.label);
      prediction.wire = wire;
      prediction.modelName = wire.modelName;
      const principal = access.principalOf(call.headers);
      finder.assertProject(named.project, principal);
      const endpoint = finder.locate(named, principal, 'predict');
      const pin = finder.pinOf(endpoint, named.ref);
      let route = finder.route(endpoint, pin, splitCallOf(call, principal, null));
      prediction.named = named;
      follow(prediction, named, route);
      let { version } = route;
      const account = admission.accountOf(principal);
      const priority = priorityOf(call.headers['x-slipway-priority']);
      admission.admit(account, version);
      let request = form.parse(wire, version.target);
      if (route.waitsForContent) {
        const content = { inputs: request.inputs, body: null };
        route = finder.route(endpoint, pin, splitCallOf(call, principal, content));
        follow(prediction, named, route);
        if (route.version !== version) {
          version = route.version;
          request = form.parse(wire, version.target);
        }
      }
      prediction.request = request;
      prediction.target = version.target;
      prediction.modelName = named.shown;
      if (request.encoded === undefined) {
        compute(prediction, version, request, account, priority);
        return prediction;
      }
      // Pictures become tensors beside the loop.
      decodeRequest(request, version.target, () => !call.over).then(
        (decoded) => computeLater(prediction, version, decoded, account, priority),
        (thrown: unknown) => prediction.finish(toSlipwayError(thrown), null, NO_TIMINGS),
      );
    } catch (thrown) {
      prediction.finish(toSlipwayError(thrown), null, NO_TIMINGS);
    }
    return prediction;
  };

  /** Some time passed: the client may be gone, and the version may have been replaced. */
  const computeLater = <W extends WireMessage>(
    prediction: Prediction<W>,
    version: ServedVersion,
    request: InferRequest,
    account: Account,
    priority: Priority | undefined,
  ): void => {
    const { call, named } = prediction;
    if (call.over) return;
    try {
      const principal = access.principalOf(call.headers);
      const endpoint = finder.locate(named!, principal, 'predict');
      // A call keeps its arm; the version of an endpoint that is whole may have been replaced.
      const { split } = prediction.route!.endpoint;
      const again = split === null ? finder.choose(endpoint, finder.pinOf(endpoint, named!.ref)) : version;
      if (again !== version || !again.wasReady) throw replaced();
      compute(prediction, version, request, account, priority);
    } catch (thrown) {
      prediction.finish(toSlipwayError(thrown), null, NO_TIMINGS);
    }
  };

  const compute = <W extends WireMessage>(
    prediction: Prediction<W>,
    version: ServedVersion,
    request: InferRequest,
    account: Account,
    priority: Priority | undefined,
  ): void => {
    const { call, startedMs } = prediction;
    prediction.request = request;
    const nowMs = performance.now();
    prediction.inputMs = nowMs - startedMs;
    const streamLeftMs = call.timeoutMs - (nowMs - call.startedMs);
    const givenMs = Math.min(deps.requestTimeoutMs, request.timeoutMs ?? deps.requestTimeoutMs);
    const leftMs = Math.min(givenMs - prediction.inputMs, streamLeftMs);
    if (leftMs <= 0) throw tooLate();
    const supervisor = version.supervisor!;
    const now = supervisor.runNow?.(request.inputs, request.rows) ?? null;
    if (now !== null) {
      const runMs = performance.now() - nowMs;
      prediction.finish(null, now, { queueMs: 0, runMs, batchRows: request.rows });
      return;
    }
    account.begin();
    prediction.account = account;
    prediction.meter!.inFlight += 1;
    prediction.handle = supervisor.infer(
      request.inputs,
      request.rows,
      { timeoutMs: leftMs, flow: account, priority: priority ?? request.priority },
      (error, outputs, timings) => prediction.finish(error, outputs, timings),
    );
  };

  return {
    admit(call) {
      deps.assertTold();
      access.principalOf(call.headers);
    },
    start,
    answer(call, form, message) {
      const prediction = start(call, form, message, call.startedMs, answerUnary);
      if (call.over) return;
      call.onGone = () => prediction.cancel();
    },
  };
}

/** @param framed the whole message; null when there is an error */
export type Done<W extends WireMessage> = (
  prediction: Prediction<W>,
  error: SlipwayError | null,
  framed: Buffer | null,
) => void;

function answerUnary<W extends WireMessage>(
  { call, version }: Prediction<W>,
  error: SlipwayError | null,
  framed: Buffer | null,
): void {
  call.onGone = null;
  call.version = version;
  if (version !== '') call.predictionId = call.ownId;
  call.counted = true;
  if (error !== null) call.fail(error);
  else call.reply(framed!);
}

const NO_TIMINGS: CallTimings = { queueMs: 0, runMs: 0, batchRows: 0 };

/** One message being computed. A class for the hot path: one object, no closures but the one the runner calls. */
export class Prediction<W extends WireMessage> {
  readonly call: GrpcCall;
  readonly form: MessageForm<W>;
  readonly startedMs: number;
  /** Null before the message was read. */
  wire: W | null = null;
  /** Without a version, as it is named in answers. */
  modelName = '';
  version = '';
  meter: Meter | null = null;
  request: InferRequest | null = null;
  target: InputTarget | null = null;
  handle: CallHandle | null = null;
  inputMs = 0;
  /** Whose place it takes while it is in a queue or a runner. */
  account: Account | null = null;
  /** What it names, and the version picked; null before. */
  named: NamedModel | null = null;
  route: Route | null = null;
  private isOver = false;
  private readonly done: Done<W>;
  private readonly observe: PredictionObserver | null;

  constructor(
    call: GrpcCall,
    form: MessageForm<W>,
    startedMs: number,
    done: Done<W>,
    observe: PredictionObserver | null,
  ) {
    this.call = call;
    this.form = form;
    this.startedMs = startedMs;
    this.done = done;
    this.observe = observe;
  }

  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.handle?.cancel();
    const { meter } = this;
    if (meter === null) return;
    this.leave();
    const ms = performance.now() - this.startedMs;
    meter.count(CLIENT_CLOSED, ms, 0);
    meter.statistics.cancel(ms);
    this.tell({ kind: 'failed', code: 'client_closed' }, ms, NO_TIMINGS);
  }

  finish(failure: SlipwayError | null, outputs: readonly Tensor[] | null, timings: CallTimings): void {
    if (this.isOver) return;
    this.isOver = true;
    const { meter, call, request } = this;
    this.leave();
    const computedMs = performance.now();
    let error = failure;
    let framed: Buffer | null = null;
    if (error === null) {
      try {
        framed = this.form.write(this, outputs!);
      } catch (thrown) {
        error = toSlipwayError(thrown);
      }
    }
    if (error !== null && this.form.tell !== undefined) error = this.form.tell(error, this.wire);
    this.done(this, error, framed);
    if (meter === null) {
      call.countRefusal(error!);
      return;
    }
    const ms = performance.now() - this.startedMs;
    const outcome: Outcome =
      error === null ? { kind: 'answered', outputs: outputs! } : { kind: 'failed', code: error.code };
    this.tell(outcome, ms, timings);
    if (error !== null) {
      meter.count(httpStatusOf(error), ms, timings.batchRows);
      meter.statistics.fail(ms);
      return;
    }
    const { queueMs, runMs, batchRows } = timings;
    meter.count(200, ms, batchRows);
    const outputMs = this.startedMs + ms - computedMs;
    meter.statistics.succeed(request!.rows, batchRows, ms, this.inputMs, queueMs, runMs, outputMs);
  }

  private tell(outcome: Outcome, latencyMs: number, { queueMs, runMs }: CallTimings): void {
    const { observe, route, named, request, call } = this;
    if (observe === null || route === null) return;
    const { spec } = route.version;
    const { split } = route.endpoint;
    const inputs = request === null ? null : request.inputs;
    observe({
      predictionId: call.ownId,
      requestId: call.requestId,
      atMs: Date.now() - (performance.now() - this.startedMs),
      project: named!.project,
      endpoint: named!.ref!.name,
      model: spec.model,
      version: spec.version,
      versionDigest: spec.digest,
      protocol: this.form.protocol,
      signature: spec.signature,
      assignment: route.assignment,
      split: split === null ? null : split.spec,
      slice: sliceOf(split, fieldsOf(call), call.headers.more, inputs),
      outcome,
      inputs,
      rows: request === null ? 0 : request.rows,
      latencyMs,
      queueMs,
      runMs,
      shadowOf: null,
    });
  }

  /** It is in no queue and no runner any more. */
  private leave(): void {
    if (this.account === null) return;
    this.account.end();
    this.account = null;
    this.meter!.inFlight -= 1;
  }
}

/** Headers are fields of an object of their own class; those that few calls send are beside them. */
function fieldsOf(call: GrpcCall): SplitCall['headers'] {
  return call.headers as unknown as SplitCall['headers'];
}

function splitCallOf(call: GrpcCall, principal: SplitCall['principal'], content: CallContent | null): SplitCall {
  return {
    headers: fieldsOf(call),
    moreHeaders: call.headers.more,
    requestId: call.requestId,
    principal,
    content,
  };
}

function replaced(): SlipwayError {
  return new SlipwayError('not_ready', 'The version was replaced while pictures were decoded', { retryAfterS: 1 });
}

function tooLate(): SlipwayError {
  return new SlipwayError('deadline_exceeded', 'The deadline passed while the request was received', {
    hint: 'Set a later deadline.',
  });
}
