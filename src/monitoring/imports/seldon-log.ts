/** The documents of Seldon's request logger, as an export of its index gives them: request and response of a prediction in one. */
import { ForeignFault, type ForeignPrediction, idOf, type Names, rowsOf, timeOf } from './foreign-prediction.ts';

type Side = { readonly payload?: unknown } & Readonly<Record<string, unknown>>;

/** @throws ForeignFault */
export function readSeldonLog(record: Record<string, unknown>, names: Names): ForeignPrediction {
  const source = (record['_source'] ?? record) as Record<string, unknown>;
  const [request, response] = [source['request'] as Side | undefined, source['response'] as Side | undefined];
  if (request?.payload === undefined && response?.payload === undefined) {
    throw new ForeignFault('has neither request.payload nor response.payload');
  }
  const time = source['@timestamp'] ?? request?.['ce-time'] ?? response?.['ce-time'] ?? source['timestamp'];
  const atMs = timeOf(time);
  if (atMs === null) throw new ForeignFault('has no @timestamp');
  const id = source['RequestId'] ?? record['_id'] ?? source['request_id'];
  const model = source['SdepName'] ?? source['modelName'] ?? source['deployment'];
  return {
    id: typeof id === 'string' && /^[A-Za-z0-9._:+/=-]{1,128}$/.test(id) ? id : idOf('seldon', JSON.stringify(record)),
    atMs,
    model: typeof model === 'string' ? model : null,
    version: null,
    latencyMs: null,
    status: 'answered',
    inputs: request?.payload === undefined ? [] : rowsOf(request.payload, names.inputs),
    outputs: response?.payload === undefined ? [] : rowsOf(response.payload, names.outputs),
  };
}
