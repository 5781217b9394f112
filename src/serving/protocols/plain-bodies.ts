/** The forms in which the plain form takes inputs, by Content-Type. JSON has its own way, because nearly all calls send it. */
import { SlipwayError } from '../../base/errors.ts';
import { readArrowBody } from '../inputs/arrow-body.ts';
import { readCsvBody } from '../inputs/csv-body.ts';
import { readFormBody, readImageBody, readRawBody } from '../inputs/file-body.ts';
import { type MediaType, parseMediaType } from '../inputs/media-type.ts';
import { readNdjsonBody } from '../inputs/ndjson-body.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { PlainInputs } from '../tensors/plain-codec.ts';
import { isJsonType } from './json-body.ts';
import type { WireCall } from './protocol.ts';

type Read = (body: Uint8Array, target: InputTarget, type: MediaType) => PlainInputs;

const READERS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['text/csv', (body, target, type) => readCsvBody(body, type, target)],
  ['application/x-ndjson', readNdjsonBody],
  ['application/ndjson', readNdjsonBody],
  ['application/jsonl', readNdjsonBody],
  ['application/vnd.apache.arrow.stream', readArrowBody],
  ['image/*', readImageBody],
  ['application/octet-stream', readRawBody],
  ['multipart/form-data', readFormBody],
]);

/** As the error for other types lists them. */
const SUPPORTED =
  'application/json, text/csv, application/x-ndjson, application/vnd.apache.arrow.stream; for models whose signature says so image/*, multipart/form-data and application/octet-stream';

/**
 * @returns null for JSON
 * @throws SlipwayError `unsupported_media`, and what the form's reader throws
 */
export function readOtherBody({ body, headers }: WireCall, target: InputTarget): PlainInputs | null {
  const header = headers['content-type'];
  if (header === undefined || header === 'application/json' || isJsonType(header)) return null;
  const type = typeof header === 'string' ? parseMediaType(header) : null;
  const read = type === null ? undefined : READERS.get(type.name.startsWith('image/') ? 'image/*' : type.name);
  if (read !== undefined) return read(body, target, type!);
  throw new SlipwayError('unsupported_media', `The body has the type ${JSON.stringify(header)}`, {
    hint: `Supported here: ${SUPPORTED}.`,
  });
}

/** Files are only passed on, which takes no time whatever their size. */
export function isPassedOn({ headers }: WireCall): boolean {
  const type = headers['content-type'];
  return typeof type === 'string' && /^(image\/|multipart\/form-data|application\/octet-stream)/i.test(type);
}
