/**
 * The documents of Seldon's request logger, as an export of its index gives them: request and response of a prediction in one. Of a batch there
 * is a document for each row (`<id>-item-<n>`), and each has the payload of all: the first one tells them, the others are known then.
 */
import { ForeignFault, type ForeignPrediction, idOf, type Names, rowsOf, timeOf } from './foreign-prediction.ts';

type Side = { readonly payload?: unknown } & Readonly<Record<string, unknown>>;

/** Where releases of the logger have the name of what answered: headers of the event as they were, before that names of its own. */
const MODEL_FIELDS = ['Ce-Inferenceservicename', 'SdepName', 'Ce-Modelid', 'Model-Id', 'modelName', 'deployment'];

/** @throws ForeignFault */
export function readSeldonLog(record: Record<string, unknown>, names: Names): ForeignPrediction {
  const source = (record['_source'] ?? record) as Record<string, unknown>;
  const [request, response] = [source['request'] as Side | undefined, source['response'] as Side | undefined];
  if (request?.payload === undefined && response?.payload === undefined) {
    throw new ForeignFault('has neither request.payload nor response.payload');
  }
  const [askedMs, answeredMs] = [timeOf(request?.['ce-time']), timeOf(response?.['ce-time'])];
  const atMs = timeOf(source['@timestamp']) ?? askedMs ?? answeredMs ?? timeOf(source['timestamp']);
  if (atMs === null) throw new ForeignFault('has no @timestamp');
  const id = source['RequestId'] ?? source['request_id'] ?? String(record['_id'] ?? '').replace(/-item-\d+$/, '');
  const model = MODEL_FIELDS.map((name) => source[name]).find((name) => typeof name === 'string');
  return {
    id: typeof id === 'string' && /^[A-Za-z0-9._:+/=-]{1,128}$/.test(id) ? id : idOf('seldon', JSON.stringify(record)),
    atMs,
    model: (model as string | undefined) ?? null,
    version: null,
    latencyMs: askedMs === null || answeredMs === null ? null : Math.max(0, answeredMs - askedMs),
    status: 'answered',
    inputs: request?.payload === undefined ? [] : rowsOf(request.payload, names.inputs),
    outputs: response?.payload === undefined ? [] : rowsOf(response.payload, names.outputs),
  };
}
