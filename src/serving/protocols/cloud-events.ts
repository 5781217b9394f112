/**
 * CloudEvents 1.0 around a prediction, as KServe takes and gives them: binary (attributes in headers) and structured (all of it in JSON).
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
 */
import { SlipwayError } from '../../base/errors.ts';
import type { Answered, WireAnswer, WireHead } from './protocol.ts';

export type EventMode = 'binary' | 'structured';

const STRUCTURED = /^application\/cloudevents\+json\s*(?:;|$)/i;
const REQUIRED = ['specversion', 'id', 'source', 'type'];
const RESPONSE_TYPE = 'io.kserve.inference.response';

/** Null for an ordinary request. @throws SlipwayError `invalid_request`, `unsupported_media` for batches */
export function eventModeOf({ headers }: Pick<WireHead, 'headers'>): EventMode | null {
  const type = headers['content-type'];
  if (typeof type === 'string' && STRUCTURED.test(type)) return 'structured';
  if (typeof type === 'string' && /^application\/cloudevents-batch/i.test(type)) {
    throw new SlipwayError('unsupported_media', 'Batches of CloudEvents are not taken', {
      hint: 'Send one at a time.',
    });
  }
  const names = REQUIRED.map((name) => `ce-${name}`);
  const given = names.filter((name) => headers[name] !== undefined);
  if (given.length === 0) return null;
  const [missing] = names.filter((name) => headers[name] === undefined);
  if (missing !== undefined) throw noEvent(`the header ${missing} is missing`);
  assertVersion(headers['ce-specversion']);
  return 'binary';
}

/** What a structured event is about. @throws SlipwayError `invalid_request` */
export function dataOf(event: unknown): unknown {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) throw noEvent('it is no object');
  const attributes = event as Record<string, unknown>;
  for (const name of REQUIRED) {
    const value = attributes[name];
    if (typeof value !== 'string' || value === '') throw noEvent(`the attribute ${name} is missing`);
  }
  assertVersion(attributes['specversion']);
  if (attributes['data_base64'] !== undefined)
    throw noEvent('data_base64 is not taken here; send the request under data');
  if (attributes['data'] === undefined) throw noEvent('it has no data');
  return attributes['data'];
}

/** @param json the answer */
export function eventAnswer(
  mode: EventMode,
  { endpoint, predictionId }: Pick<Answered, 'endpoint' | 'predictionId'>,
  json: string,
): WireAnswer {
  const source = `io.kserve.inference.${endpoint}`;
  const time = new Date().toISOString();
  if (mode === 'structured') {
    const attributes = { specversion: '1.0', id: predictionId, source, type: RESPONSE_TYPE, time };
    const body = `${JSON.stringify(attributes).slice(0, -1)},"data":${json}}`;
    return { contentType: 'application/cloudevents+json', body };
  }
  return {
    contentType: 'application/json',
    body: json,
    headers: [
      'ce-specversion',
      '1.0',
      'ce-id',
      predictionId,
      'ce-source',
      source,
      'ce-type',
      RESPONSE_TYPE,
      'ce-time',
      time,
    ],
  };
}

function assertVersion(version: unknown): void {
  if (version === '1.0' || version === '0.3') return;
  throw noEvent(`its specversion is ${JSON.stringify(version)}, and 1.0 and 0.3 are known here`);
}

function noEvent(why: string): SlipwayError {
  return new SlipwayError('invalid_request', `Failed to decode or parse cloudevent: ${why}`, {
    hint: 'An event has specversion, id, source and type, as ce- headers or beside its data.',
  });
}
