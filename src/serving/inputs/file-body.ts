/** Bodies that are files: one picture, the raw bytes of a tensor, or several files as a form (multipart/form-data). */
import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import { pointerOf } from '../../base/json.ts';
import type { InputDecoder } from '../../registry/input-decoder.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import { type InputTarget, invalidInput, shapeText } from '../tensors/input-check.ts';
import type { PlainInputs } from '../tensors/plain-codec.ts';
import { elementCount } from '../tensors/shape.ts';
import type { MediaType } from './media-type.ts';
import { readMultipart } from './multipart.ts';

/** @throws SlipwayError `unsupported_media` for models that take no picture alone */
export function readImageBody(body: Uint8Array, target: InputTarget): PlainInputs {
  const spec = onlyInput(target, 'image');
  return { inputs: [], rows: 1, encoded: [{ name: spec.name, files: [body], pointers: [''] }] };
}

/**
 * The elements of the one input with a raw decoder, little-endian; a free first dimension follows from the number of bytes.
 * @throws SlipwayError `unsupported_media`, `invalid_input`
 */
export function readRawBody(body: Uint8Array, target: InputTarget): PlainInputs {
  const spec = onlyInput(target, 'raw');
  const { bytes, array } = datatypeInfo(spec.datatype);
  const free = spec.shape[0] === -1;
  const rowBytes = elementCount(free ? spec.shape.slice(1) : spec.shape)! * bytes;
  const rows = body.length / rowBytes;
  if (body.length === 0 || (free ? !Number.isInteger(rows) : rows !== 1)) {
    const wanted = free ? `a multiple of ${rowBytes}` : `${rowBytes}`;
    throw invalidInput(target, [
      { pointer: '', message: `has ${body.length} bytes; ${spec.name} (${shapeText(spec)}) takes ${wanted}` },
    ]);
  }
  // Copied: elements must lie at multiples of their size, and the body's memory may go to another thread.
  const copy = new Uint8Array(body);
  const bad = spec.datatype === 'BOOL' ? copy.findIndex((bit) => bit > 1) : -1;
  if (bad !== -1) throw invalidInput(target, [{ pointer: '', message: `has at byte ${bad} what is neither 0 nor 1` }]);
  const data = new array!(copy.buffer, 0, copy.length / bytes);
  const shape = free ? [rows, ...spec.shape.slice(1)] : spec.shape;
  return { inputs: [{ name: spec.name, datatype: spec.datatype, shape, data }], rows: shape[0] ?? 1 };
}

/**
 * A form whose parts are pictures, named like their inputs. Several parts of one name are rows, in their order.
 * @throws SlipwayError `unsupported_media`, `invalid_request`, `invalid_input`
 */
export function readFormBody(body: Uint8Array, target: InputTarget, type: MediaType): PlainInputs {
  const takers = target.signature.inputs.filter((spec) => spec.decoder?.kind === 'image');
  if (takers.length === 0) throw noDecoder(target, 'image');
  const faults: FieldError[] = [];
  const byName = new Map<string, { files: Uint8Array[]; pointers: string[] }>();
  for (const part of readMultipart(body, type)) {
    const pointer = pointerOf([part.name]);
    if (!takers.some((spec) => spec.name === part.name)) {
      const names = takers.map((spec) => spec.name);
      const near = closestWord(part.name.slice(0, 100), names);
      const advice = near === null ? `; known: ${names.join(', ')}` : `; did you mean ${near}?`;
      faults.push({ pointer, message: `is not an input that takes pictures${advice}` });
      if (faults.length >= MAX_FIELD_ERRORS) break;
      continue;
    }
    const files = byName.get(part.name) ?? { files: [], pointers: [] };
    files.pointers.push(`${pointer}/${files.files.length}`);
    files.files.push(part.content);
    byName.set(part.name, files);
  }
  const encoded: EncodedInput[] = [];
  for (const spec of target.signature.inputs) {
    const given = byName.get(spec.name);
    if (given !== undefined) encoded.push({ name: spec.name, ...given });
    else if (!spec.optional)
      faults.push({ pointer: pointerOf([spec.name]), message: `is missing (${shapeText(spec)})` });
  }
  if (encoded.length === 0 && faults.length === 0) faults.push({ pointer: '', message: 'has no pictures' });
  if (faults.length > 0) throw invalidInput(target, faults, MORE_INPUTS);
  return { inputs: [], rows: encoded[0]!.files.length, encoded };
}

const MORE_INPUTS =
  'Models with further inputs take JSON, with each picture as {"b64": "…"}: {"records": [{"image": {"b64": "…"}, "age": 41}]}.';
const WORDS: Readonly<Record<InputDecoder['kind'], string>> = { image: 'pictures', raw: 'raw bytes' };

/** The input that a body of one file is for: the only one with such a decoder, the others being optional. */
function onlyInput(target: InputTarget, kind: InputDecoder['kind']): TensorSpec {
  const { inputs } = target.signature;
  const takers = inputs.filter((spec) => spec.decoder?.kind === kind);
  if (takers.length === 0) throw noDecoder(target, kind);
  const needed = inputs.filter((spec) => spec.optional !== true && spec !== takers[0]);
  if (takers.length === 1 && needed.length === 0) return takers[0]!;
  const names = [...new Set([...takers, ...needed])].map((spec) => spec.name).join(', ');
  throw new SlipwayError('unsupported_media', `${target.name} needs more than one file: ${names}`, {
    hint: kind === 'image' ? MORE_INPUTS : 'Send JSON, or the binary form of the Open Inference Protocol.',
  });
}

function noDecoder(target: InputTarget, kind: InputDecoder['kind']): SlipwayError {
  return new SlipwayError(
    'unsupported_media',
    `${target.name} takes no ${WORDS[kind]}: its signature declares no decoder for them`,
    {
      hint: `Send JSON; or declare signature.inputs.<name>.decoder: {kind: ${kind}} in slipway.yaml and deploy it again.`,
    },
  );
}
