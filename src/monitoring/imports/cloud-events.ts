/**
 * CloudEvents of KServe's and Seldon's loggers: a request and a response of the same id (KServe) or request id (Seldon), each an event. As
 * HTTP has them: the attributes in `ce-` headers and the data as the body, or both in one JSON object.
 */
import { ForeignFault, type ForeignPrediction, idOf, type Names, rowsOf, timeOf } from './foreign-prediction.ts';

export type CloudEvent = {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly data: unknown;
};

export type Half = {
  readonly side: 'request' | 'response';
  /** Of both halves the same. */
  readonly key: string;
  readonly prediction: ForeignPrediction;
};

/** An event in structured mode. @throws ForeignFault */
export function structuredEvent(record: unknown): CloudEvent {
  if (typeof record !== 'object' || record === null || Array.isArray(record))
    throw new ForeignFault('is no CloudEvent');
  const { data, data_base64, ...attributes } = record as Record<string, unknown>;
  if (typeof data_base64 !== 'string') return { attributes, data };
  try {
    return { attributes, data: JSON.parse(Buffer.from(data_base64, 'base64').toString()) };
  } catch {
    throw new ForeignFault('has data that is no JSON');
  }
}

/** An event in binary mode: attributes are headers that begin with `ce-`. */
export function binaryEvent(headers: Readonly<Record<string, unknown>>, data: unknown): CloudEvent {
  const attributes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('ce-')) attributes[name.slice(3)] = value;
  }
  return { attributes, data };
}

/**
 * @param arrivedMs stands for the time of an event that has none, as events need not; null: it has to have one
 * @throws ForeignFault for an event that says nothing of a prediction
 */
export function readCloudEvent({ attributes, data }: CloudEvent, names: Names, arrivedMs: number | null): Half {
  const type = String(attributes['type'] ?? '');
  const side = /inference\.request$/.test(type) ? 'request' : /inference\.response$/.test(type) ? 'response' : null;
  if (side === null) throw new ForeignFault('is of a type other than …inference.request and …inference.response');
  const id = attributes['requestid'] ?? attributes['id'];
  if (typeof id !== 'string' || id === '' || id.length > 256) throw new ForeignFault('has no id');
  const atMs = timeOf(attributes['time']) ?? timeOf((data as { time?: unknown } | null)?.time) ?? arrivedMs;
  if (atMs === null) throw new ForeignFault('has no time');
  const model = attributes['inferenceservicename'] ?? attributes['modelid'];
  const rows = rowsOf(data, side === 'request' ? names.inputs : names.outputs);
  return {
    side,
    key: id,
    prediction: {
      id: /^[A-Za-z0-9._:+/=-]{1,128}$/.test(id) ? id : idOf('event', id),
      atMs,
      model: typeof model === 'string' && model !== '' ? model : null,
      version: null,
      latencyMs: null,
      status: 'answered',
      inputs: side === 'request' ? rows : [],
      outputs: side === 'response' ? rows : [],
    },
  };
}

/** Both halves as one. */
export function joinHalves(a: Half, b: Half): ForeignPrediction {
  const [request, response] = a.side === 'request' ? [a.prediction, b.prediction] : [b.prediction, a.prediction];
  return {
    ...request,
    model: request.model ?? response.model,
    latencyMs: Math.max(0, response.atMs - request.atMs),
    outputs: response.outputs,
  };
}
