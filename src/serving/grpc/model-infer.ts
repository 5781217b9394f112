/** ModelInfer and ModelStreamInfer: the hot methods. */
import { SlipwayError } from '../../base/errors.ts';
import type { GatewayMetrics } from '../gateway/metrics.ts';
import { classesOf } from '../protocols/classification.ts';
import type { AnswerForm } from '../protocols/open-inference-answer.ts';
import { SELDON_MODEL } from '../protocols/seldon-model.ts';
import { classesUs } from '../protocols/writing-time.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { GrpcCall, Method } from './grpc-call.ts';
import { errorMessage } from './grpc-status.ts';
import { toInferRequest } from './infer-inputs.ts';
import { readInferRequest, type WireInferRequest } from './infer-request.ts';
import { writeInferResponse } from './infer-response.ts';
import { frameMessage } from './message-frame.ts';
import type { Done, MessageForm, Prediction, Predictions } from './predictions.ts';
import type { MessageCodec } from './protobuf/message-codec.ts';

export type ModelInferDeps = {
  readonly predictions: Predictions;
  readonly metrics: GatewayMetrics;
  readonly codec: MessageCodec;
};

type InferPrediction = Prediction<WireInferRequest>;

const FORM: MessageForm<WireInferRequest> = {
  protocol: 'grpc',
  routedBy: SELDON_MODEL,
  read: readInferRequest,
  parse: toInferRequest,
  write: writeAnswer,
};

/** Messages of one stream being computed at a time, and bytes of answers that its client has not taken. */
const STREAM_IN_FLIGHT = 64;
const STREAM_UNSENT_BYTES = 4 * 1024 * 1024;

export function createModelInfer({ predictions, metrics, codec }: ModelInferDeps): readonly Method[] {
  const { admit } = predictions;
  const answer = (call: GrpcCall, message: Buffer): void => predictions.answer(call, FORM, message);

  const openStream = (call: GrpcCall) => {
    /** In the order they came; the first ones may still be computed. */
    const open: { prediction: InferPrediction | null; bytes: Buffer | null }[] = [];
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
        const done: Done<WireInferRequest> = (prediction, error, framed) => {
          slot.bytes = error === null ? framed! : streamError(prediction, error);
          settle();
        };
        slot.prediction = predictions.start(call, FORM, bytes, performance.now(), done);
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
  const streamError = ({ modelName, wire }: InferPrediction, error: SlipwayError): Buffer => {
    metrics.because(error.code);
    const told = codec.encode('inference.ModelStreamInferResponse', {
      error_message: errorMessage(error),
      infer_response: { model_name: modelName, id: wire?.id ?? '' },
    });
    return frameMessage(told);
  };

  return [
    { kind: 'unary', path: '/inference.GRPCInferenceService/ModelInfer', admit, answer },
    { kind: 'streaming', path: '/inference.GRPCInferenceService/ModelStreamInfer', admit, open: openStream },
  ];
}

function writeAnswer(
  { call, wire, modelName, version, request, target }: InferPrediction,
  outputs: readonly Tensor[],
): Buffer {
  const { outputs: names, form } = request!;
  let chosen = names === null ? outputs : names.map((name) => outputs.find((one) => one.name === name)!);
  if (form !== undefined) {
    const { classes } = form as AnswerForm;
    const { signature } = target!;
    assertShort(chosen.reduce((sum, one, i) => sum + (classes[i]! > 0 ? classesUs(one, classes[i]!) : 0), 0));
    chosen = chosen.map((one, i) => (classes[i]! > 0 ? classesOf(one, classes[i]!, signature) : one));
  }
  const inStream = call.method.kind === 'streaming';
  return writeInferResponse({ modelName, modelVersion: version, id: wire!.id, outputs: chosen }, inStream);
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
