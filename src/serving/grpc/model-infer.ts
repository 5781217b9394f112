/** ModelInfer and ModelStreamInfer: the hot methods. */
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import { WHOLE } from '../endpoints/assignment.ts';
import type { Account } from '../gateway/account.ts';
import { type Admission, priorityOf } from '../gateway/admission.ts';
import { CLIENT_CLOSED } from '../gateway/client-closed.ts';
import type { EndpointFinder } from '../gateway/find-endpoint.ts';
import type { InferenceAccess } from '../gateway/inference-access.ts';
import type { GatewayMetrics, Meter } from '../gateway/metrics.ts';
import type { Route } from '../gateway/prediction.ts';
import { type Outcome, PINNED, type PredictionObserver } from '../gateway/prediction-observer.ts';
import type { ServedVersion } from '../gateway/served-version.ts';
import { classesOf } from '../protocols/classification.ts';
import type { AnswerForm } from '../protocols/open-inference-answer.ts';
import type { InferRequest } from '../protocols/protocol.ts';
import { classesUs } from '../protocols/writing-time.ts';
import type { CallHandle, CallTimings } from '../runner/runner.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { GrpcCall, Method } from './grpc-call.ts';
import { errorMessage, httpStatusOf } from './grpc-status.ts';
import { toInferRequest } from './infer-inputs.ts';
import { readInferRequest } from './infer-request.ts';
import { writeInferResponse } from './infer-response.ts';
import { frameMessage } from './message-frame.ts';
import { createModelNames, type NamedModel } from './named-model.ts';
import type { MessageCodec } from './protobuf/message-codec.ts';

export type ModelInferDeps = {
  readonly access: InferenceAccess;
  readonly admission: Admission;
  readonly finder: EndpointFinder;
  readonly metrics: GatewayMetrics;
  readonly codec: MessageCodec;
  /** Deadline of a call that names none. */
  readonly requestTimeoutMs: number;
  /** @throws SlipwayError when the gateway does not know its endpoints yet */
  readonly assertTold: () => void;
  readonly observe: PredictionObserver | null;
};

/** Messages of one stream being computed at a time, and bytes of answers that its client has not taken. */
const STREAM_IN_FLIGHT = 64;
const STREAM_UNSENT_BYTES = 4 * 1024 * 1024;

export function createModelInfer(deps: ModelInferDeps): readonly Method[] {
  const { access, admission, finder, metrics, codec } = deps;
  const nameOf = createModelNames();

  const admit = (call: GrpcCall): void => {
    deps.assertTold();
    access.principalOf(call.headers);
  };

  const meterFor = (named: NamedModel, version: ServedVersion): Meter => {
    const number = version.spec.version;
    if (named.meter !== null && named.meterOf === number) return named.meter;
    named.meterOf = number;
    named.meter = metrics.meter({ project: named.project, endpoint: named.ref!.name, version: number });
    return named.meter;
  };

  /** Computes one message. `done` is called once, perhaps before this returns; not after a cancellation. */
  const start = (call: GrpcCall, message: Buffer, startedMs: number, done: Done): Prediction => {
    const prediction = new Prediction(call, startedMs, done, deps.observe);
    try {
      const wire = readInferRequest(message);
      const named = nameOf(wire.modelName, wire.modelVersion);
      prediction.modelName = wire.modelName;
      prediction.id = wire.id;
      const principal = access.principalOf(call.headers);
      finder.assertProject(named.project, principal);
      const version = finder.choose(finder.locate(named, principal, 'predict'), named.ref!.pin);
      prediction.named = named;
      prediction.route = { version, assignment: named.ref!.pin === null ? WHOLE : PINNED };
      prediction.version = `${version.spec.version}`;
      const meter = meterFor(named, version);
      prediction.meter = meter;
      const account = admission.accountOf(principal);
      const priority = priorityOf(call.headers['x-slipway-priority']);
      admission.admit(account, version);
      const request = toInferRequest(wire, version.target);
      prediction.request = request;
      prediction.target = version.target;
      prediction.modelName = named.shown;
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
        return prediction;
      }
      account.begin();
      prediction.account = account;
      meter.inFlight += 1;
      prediction.handle = supervisor.infer(
        request.inputs,
        request.rows,
        { timeoutMs: leftMs, flow: account, priority: priority ?? request.priority },
        (error, outputs, timings) => prediction.finish(error, outputs, timings),
      );
    } catch (thrown) {
      prediction.finish(toSlipwayError(thrown), null, NO_TIMINGS);
    }
    return prediction;
  };

  const answer = (call: GrpcCall, message: Buffer): void => {
    const prediction = start(call, message, call.startedMs, answerUnary);
    if (call.over) return;
    call.onGone = () => prediction.cancel();
  };

  const openStream = (call: GrpcCall) => {
    /** In the order they came; the first ones may still be computed. */
    const open: { prediction: Prediction | null; bytes: Buffer | null }[] = [];
    let ended = false;
    let held = false;
    call.sendHeaders();
    call.onGone = () => {
      for (const { prediction, bytes } of open.splice(0)) if (bytes === null) prediction?.cancel();
    };
    const settle = (): void => {
      while (open.length > 0 && open[0]!.bytes !== null) call.send(open.shift()!.bytes!);
      if (held && open.length < STREAM_IN_FLIGHT / 2 && call.unsentBytes < STREAM_UNSENT_BYTES) {
        held = false;
        call.release();
      }
      if (ended && open.length === 0 && !held) {
        call.onGone = null;
        call.finish();
      }
    };
    return {
      message(bytes: Buffer) {
        const slot: (typeof open)[number] = { prediction: null, bytes: null };
        open.push(slot);
        const done: Done = (prediction, error, framed) => {
          slot.bytes = error === null ? framed! : streamError(prediction, error);
          settle();
        };
        slot.prediction = start(call, bytes, performance.now(), done);
        if (!held && (open.length >= STREAM_IN_FLIGHT || call.unsentBytes >= STREAM_UNSENT_BYTES)) {
          held = true;
          call.hold();
        }
      },
      end() {
        ended = true;
        settle();
      },
    };
  };

  /** An error of one message does not end the stream. */
  const streamError = ({ modelName, id }: Prediction, error: SlipwayError): Buffer => {
    metrics.because(error.code);
    const told = codec.encode('inference.ModelStreamInferResponse', {
      error_message: errorMessage(error),
      infer_response: { model_name: modelName, id },
    });
    return frameMessage(told);
  };

  return [
    { kind: 'unary', path: '/inference.GRPCInferenceService/ModelInfer', admit, answer },
    { kind: 'streaming', path: '/inference.GRPCInferenceService/ModelStreamInfer', admit, open: openStream },
  ];
}

/** @param framed the whole message; null when there is an error */
type Done = (prediction: Prediction, error: SlipwayError | null, framed: Buffer | null) => void;

function answerUnary({ call, version }: Prediction, error: SlipwayError | null, framed: Buffer | null): void {
  call.onGone = null;
  call.version = version;
  if (version !== '') call.predictionId = call.ownId;
  call.counted = true;
  if (error !== null) call.fail(error);
  else call.reply(framed!);
}

const NO_TIMINGS: CallTimings = { queueMs: 0, runMs: 0, batchRows: 0 };

/** One message being computed. A class for the hot path: one object, no closures but the one the runner calls. */
class Prediction {
  readonly call: GrpcCall;
  readonly startedMs: number;
  modelName = '';
  id = '';
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
  private readonly done: Done;
  private readonly observe: PredictionObserver | null;

  constructor(call: GrpcCall, startedMs: number, done: Done, observe: PredictionObserver | null) {
    this.call = call;
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
        framed = this.write(outputs!);
      } catch (thrown) {
        error = toSlipwayError(thrown);
      }
    }
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
    observe({
      predictionId: call.ownId,
      requestId: call.requestId,
      atMs: Date.now() - (performance.now() - this.startedMs),
      project: named!.project,
      endpoint: named!.ref!.name,
      model: spec.model,
      version: spec.version,
      versionDigest: spec.digest,
      protocol: 'grpc',
      signature: spec.signature,
      assignment: route.assignment,
      outcome,
      inputs: request === null ? null : request.inputs,
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

  private write(outputs: readonly Tensor[]): Buffer {
    const { modelName, version, id, request } = this;
    const { outputs: names, form } = request!;
    let chosen = names === null ? outputs : names.map((name) => outputs.find((one) => one.name === name)!);
    if (form !== undefined) {
      const { classes } = form as AnswerForm;
      const { signature } = this.target!;
      assertShort(chosen.reduce((sum, one, i) => sum + (classes[i]! > 0 ? classesUs(one, classes[i]!) : 0), 0));
      chosen = chosen.map((one, i) => (classes[i]! > 0 ? classesOf(one, classes[i]!, signature) : one));
    }
    const inStream = this.call.method.kind === 'streaming';
    return writeInferResponse({ modelName, modelVersion: version, id, outputs: chosen }, inStream);
  }
}

/** Ranking happens on the event loop here: as long nobody else is answered. */
const MOST_RANKING_US = 100_000;

/** @throws SlipwayError `answer_too_large` */
function assertShort(rankingUs: number): void {
  if (rankingUs <= MOST_RANKING_US) return;
  throw new SlipwayError('answer_too_large', 'So many classes are not ranked in one call over gRPC', {
    hint: 'Send fewer rows at once, ask for fewer classes, or ask over HTTP, where a thread ranks them.',
  });
}

function tooLate(): SlipwayError {
  return new SlipwayError('deadline_exceeded', 'The deadline passed while the request was received', {
    hint: 'Set a later deadline.',
  });
}
