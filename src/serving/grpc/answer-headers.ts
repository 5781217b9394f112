/** Header and trailer blocks of gRPC answers. */
import type { SlipwayError } from '../../base/errors.ts';
import { errorMessage, grpcStatusOf, percentEncode } from './grpc-status.ts';
import { headerBlock, headerStart } from './http2/header-writer.ts';

/** What is told of every call. */
export type CallNames = {
  readonly requestId: string;
  /** Empty where the call is no prediction. */
  readonly predictionId: string;
  /** The version that answers, as text; empty where none does. */
  readonly version: string;
};

const ACCEPTED = 'identity,deflate,gzip';
const CONTENT_TYPE = ['content-type', 'application/grpc'] as const;
const START = headerBlock(200, [CONTENT_TYPE, ['grpc-accept-encoding', ACCEPTED]]);
const START_OF: Readonly<Record<string, Buffer>> = Object.fromEntries(
  ['gzip', 'deflate'].map((encoding) => [
    encoding,
    headerBlock(200, [CONTENT_TYPE, ['grpc-accept-encoding', ACCEPTED], ['grpc-encoding', encoding]]),
  ]),
);
const REQUEST_ID = headerStart('x-request-id');
const PREDICTION_ID = headerStart('x-prediction-id');
const VERSION = headerStart('x-slipway-version');

export const OK_TRAILERS = headerBlock(null, [['grpc-status', '0']]);

/** @param encoding of the messages; null when they are as they are */
export function answerHeaders({ requestId, predictionId, version }: CallNames, encoding: string | null): Buffer {
  const start = encoding === null ? START : START_OF[encoding]!;
  const block = Buffer.allocUnsafe(
    start.length +
      REQUEST_ID.length +
      PREDICTION_ID.length +
      VERSION.length +
      6 +
      requestId.length +
      predictionId.length +
      version.length,
  );
  let at = start.copy(block, 0);
  at = put(block, at, REQUEST_ID, requestId);
  if (predictionId !== '') at = put(block, at, PREDICTION_ID, predictionId);
  if (version !== '') at = put(block, at, VERSION, version);
  return block.subarray(0, at);
}

/** @param value at most 254 bytes of ASCII, such as our ids and those of callers */
function put(block: Buffer, start: number, name: Buffer, value: string): number {
  let at = start;
  for (let i = 0; i < name.length; i++) block[at++] = name[i]!;
  const { length } = value;
  if (length < 127) block[at++] = length;
  else {
    block[at++] = 127;
    block[at++] = length - 127;
  }
  for (let i = 0; i < length; i++) block[at++] = value.charCodeAt(i);
  return at;
}

/** The whole answer of a call that failed before it had one: headers that are trailers too. */
export function errorHeaders(error: SlipwayError, names: CallNames): Buffer {
  const { requestId, predictionId, version } = names;
  return headerBlock(200, [
    CONTENT_TYPE,
    ['grpc-accept-encoding', ACCEPTED],
    ['x-request-id', requestId],
    ...(predictionId === '' ? [] : [['x-prediction-id', predictionId] as const]),
    ...(version === '' ? [] : [['x-slipway-version', version] as const]),
    ...statusHeaders(error),
  ]);
}

/** The end of a call that failed after its answer began. */
export function errorTrailers(error: SlipwayError): Buffer {
  return headerBlock(null, statusHeaders(error));
}

function statusHeaders(error: SlipwayError): (readonly [string, string])[] {
  return [
    ['grpc-status', `${grpcStatusOf(error)}`],
    ['grpc-message', percentEncode(errorMessage(error))],
    ...(error.retryAfterS === undefined ? [] : [['retry-after', `${error.retryAfterS}`] as const]),
  ];
}

/** What is no gRPC gets an answer of HTTP. */
export function plainHeaders(status: number): Buffer {
  return headerBlock(status, [['content-length', '0']]);
}
