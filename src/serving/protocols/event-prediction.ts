/** A prediction of TensorFlow Serving's form that may come as a CloudEvent, and is answered as it came. */
import type { InputTarget } from '../tensors/input-check.ts';
import { dataOf, type EventMode, eventAnswer, eventModeOf } from './cloud-events.ts';
import { assertJson } from './json-body.ts';
import type { Answered, InferRequest, WireAnswer, WireCall } from './protocol.ts';
import {
  asObject,
  PREDICT_KEYS,
  type PredictForm,
  parsePredict,
  readDocument,
  readPredict,
} from './tensorflow-request.ts';

type EventForm = PredictForm & { readonly event: EventMode };

export function parseEvent(call: WireCall, target: InputTarget): InferRequest {
  const event = eventModeOf(call);
  if (event === null) return parsePredict(call, target);
  assertJson(call);
  const request =
    event === 'binary'
      ? parsePredict(call, target)
      : readPredict(asObject(dataOf(readDocument(call.body, target)), PREDICT_KEYS), target);
  return { ...request, form: { ...(request.form as PredictForm), event } satisfies EventForm };
}

/** @param json the answer of an ordinary request */
export function asEvent(request: InferRequest, answered: Answered, json: string): string | WireAnswer {
  const { event } = request.form as Partial<EventForm>;
  return event === undefined ? json : eventAnswer(event, answered, json);
}
