import { SlipwayError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { cutNumberArrays } from '../tensors/number-arrays.ts';
import type { WireCall } from './protocol.ts';

/** Arrays inside arrays that a body may have. Tensors have at most a handful of dimensions. */
const MAX_DEPTH = 100;
/** Keys of one object, where they are none that callers choose. */
const MAX_KEYS = 1000;

/** JSON under its own names, and what clients send that name no type: curl's default for `-d` and plain text. */
const JSON_TYPES =
  /^(?:application\/(?:[a-z0-9.+-]*\+)?json|text\/(?:json|plain)|application\/x-www-form-urlencoded)\s*(?:;.*)?$/i;

/** Most calls of a listener name the same type in the same words. */
let lastGood = 'application/json';

/**
 * The body as a JSON value; large integers come as BigInt.
 * @param maxKeys that one object of a large body may have
 * @throws SlipwayError `unsupported_media`, `invalid_json`
 */
export function readJsonBody(call: WireCall, maxKeys = MAX_KEYS): unknown {
  assertJson(call);
  return parseJson(call.body, { maxDepth: MAX_DEPTH, maxKeys });
}

export type TensorBody = {
  readonly value: unknown;
  /** The numbers that `value` of a key "data" stands for, see `cutNumberArrays`; null when it stands for itself. */
  readonly numbersOf: (data: unknown) => Float64Array | null;
};

const LIMITS = { maxDepth: MAX_DEPTH, maxKeys: MAX_KEYS };
const NO_NUMBERS = (): null => null;

/**
 * As `readJsonBody`, for bodies whose tensors are under keys called "data".
 * @throws SlipwayError `unsupported_media`, `invalid_json`
 */
export function readTensorBody(call: WireCall): TensorBody {
  assertJson(call);
  const { buffer, byteOffset, byteLength } = call.body;
  const cut = cutNumberArrays(Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength));
  if (cut !== null) {
    try {
      return { value: parseJson(cut.bytes, LIMITS), numbersOf: cut.arrayAt };
    } catch {
      // the whole body is parsed again, so that the error names places in what was sent
    }
  }
  return { value: parseJson(call.body, LIMITS), numbersOf: NO_NUMBERS };
}

/** Whether a Content-Type is one that JSON comes under. */
export function isJsonType(type: string | readonly string[] | undefined): boolean {
  if (type === undefined || type === lastGood) return true;
  return typeof type === 'string' && JSON_TYPES.test(type);
}

/** @throws SlipwayError `unsupported_media` for another type, or a charset that is not UTF-8 */
export function assertJson(call: WireCall): void {
  const type = call.headers['content-type'];
  if (type === undefined || type === lastGood) return;
  if (!isJsonType(type)) {
    throw new SlipwayError('unsupported_media', `The body has the type ${JSON.stringify(type)}`, {
      hint: 'Send JSON with Content-Type: application/json.',
    });
  }
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type as string)?.[1];
  if (charset !== undefined && !/^(?:utf-?8|us-ascii)$/i.test(charset)) {
    throw new SlipwayError('unsupported_media', `The body has the charset ${JSON.stringify(charset)}`, {
      hint: 'Send JSON in UTF-8.',
    });
  }
  lastGood = type as string;
}
