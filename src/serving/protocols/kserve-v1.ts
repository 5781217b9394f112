/** KServe's first protocol: TensorFlow Serving's predict, a list of models, readiness, and CloudEvents. */
import { SlipwayError } from '../../base/errors.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { decodeRequest } from './decode-request.ts';
import { asEvent, parseEvent } from './event-prediction.ts';
import { openaiModel, openaiModels, speaksOpenai } from './openai-models.ts';
import {
  type Answered,
  type ErrorAnswer,
  type ErrorContext,
  HTTP_STATUSES,
  type InferRequest,
  type Protocol,
  type ServerView,
  type WireAnswer,
} from './protocol.ts';
import { predictText } from './tensorflow-answer.ts';
import { heldOf } from './tensorflow-status.ts';
import { outputsUs } from './writing-time.ts';

const NO_EXPLANATIONS = 'Explanations are not offered: no explainer runs beside the model';

export const kserveV1: Protocol = {
  name: 'kserve-v1',
  routes: [
    { kind: 'read', path: '/', public: true, read: () => ({ status: 'alive' }) },
    { kind: 'read', path: '/v1/models', read: listModels },
    { kind: 'read', path: '/v1/models/{model}', read: (server, _, { params }) => readiness(server, params!['model']!) },
    {
      kind: 'infer',
      path: '/v1/models/{endpoint}:predict',
      parse: parseEvent,
      decode: decodeRequest,
      write: writeAnswer,
      writeUs: outputsUs,
    },
    { kind: 'absent', path: '/v1/models/{endpoint}:explain', reason: NO_EXPLANATIONS },
  ],
  statuses: HTTP_STATUSES,
  writeError,
};

function listModels(server: ServerView): unknown {
  const models = server.endpoints().map(({ name }) => name);
  return speaksOpenai(server) ? { models, ...openaiModels(server) } : { models };
}

function readiness(server: ServerView, name: string): unknown {
  const held = heldOf(server, name);
  if (held.length === 0) throw new SlipwayError('endpoint_not_found', name);
  const ready = held.some(({ state }) => state === 'ready');
  if (ready) return speaksOpenai(server) ? { name, ready, ...openaiModel(name) } : { name, ready };
  throw new SlipwayError('not_ready', `Model with name ${name} is not ready.`, { retryAfterS: 1 });
}

function writeAnswer(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string | WireAnswer {
  return asEvent(request, answered, predictText(request, outputs, answered, 'quoted'));
}

function writeError(error: SlipwayError, { params = {} }: ErrorContext): ErrorAnswer {
  const isUnknown = error.code === 'endpoint_not_found';
  const name = params['endpoint'] ?? params['model'] ?? '';
  const text = isUnknown ? `Model with name ${name} does not exist.` : error.message;
  const { fields, hint } = error;
  const faults = fields.length === 0 ? {} : { faults: fields };
  const body = { error: text, ...faults, ...(hint === undefined ? {} : { hint }) };
  return { contentType: 'application/json', body: JSON.stringify(body) };
}
