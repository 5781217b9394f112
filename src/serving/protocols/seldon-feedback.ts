/** Seldon's Feedback message: what became of a prediction. It is kept by the prediction id that the answer had as its puid, with a truth for each row. */
import { SlipwayError } from '../../base/errors.ts';
import type { GivenFeedback } from '../endpoints/endpoint-change.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { readJsonBody } from './json-body.ts';
import type { ActionCall } from './protocol.ts';

const KEYS = ['request', 'response', 'reward', 'truth'];
const MOST_ROWS = 1000;
const PREDICTION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export async function giveFeedback(call: ActionCall): Promise<unknown> {
  const body = readJsonBody(call);
  if (!isObject(body)) throw invalid('', `must be an object, a Feedback message, not ${kindOf(body)}`);
  const other = Object.keys(body).find((key) => !KEYS.includes(key));
  if (other !== undefined)
    throw invalid(`/${other.slice(0, 100)}`, `is not known; a Feedback message has ${KEYS.join(', ')}`);
  const { reward, truth } = body;
  const puid = puidOf(call, body);
  const items: GivenFeedback[] = truthsOf(truth).map((value, row) => ({
    predictionId: `${puid}.${row}`,
    truth: value,
  }));
  if (reward !== undefined && reward !== null) {
    if (typeof reward !== 'number') throw invalid('/reward', `must be a number, not ${kindOf(reward)}`);
    items.push({ predictionId: puid, score: reward });
  }
  if (items.length === 0) throw invalid('', 'must have a reward or a truth');
  await call.giveFeedback(items);
  return { data: { names: [], ndarray: [] }, meta: { puid } };
}

function puidOf({ headers }: ActionCall, { response, request }: Record<string, unknown>): string {
  const told = [response, request].map((message) => {
    const meta = isObject(message) ? message['meta'] : undefined;
    return isObject(meta) ? meta['puid'] : undefined;
  });
  const puid = [...told, headers['seldon-puid']].find((one) => typeof one === 'string' && one !== '');
  if (puid === undefined) throw invalid('/response/meta/puid', 'is missing: the answer of the prediction has it');
  if (PREDICTION_ID.test(puid as string)) return (puid as string).toLowerCase();
  throw invalid('/response/meta/puid', 'is an id of your own: put the X-Prediction-Id of the answer in its place');
}

/** One value a row; a row of one value is that value. */
function truthsOf(truth: unknown): unknown[] {
  if (truth === undefined || truth === null) return [];
  if (!isObject(truth)) throw invalid('/truth', `must be an object, a SeldonMessage, not ${kindOf(truth)}`);
  const { data, strData, jsonData, meta: _meta, status: _status, ...others } = truth;
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw invalid(`/truth/${other.slice(0, 100)}`, 'is not taken; a truth has one of data, strData, jsonData');
  const given = [data, strData, jsonData].filter((one) => one !== undefined);
  if (given.length === 0) return [];
  if (given.length > 1) throw invalid('/truth', 'must have one of data, strData, jsonData');
  if (data === undefined) return given;
  const rows = rowsOf(data);
  if (rows.length > MOST_ROWS) throw invalid('/truth/data', `has ${rows.length} rows, and may have ${MOST_ROWS}`);
  return rows.map((row) => (Array.isArray(row) && row.length === 1 ? row[0] : row));
}

function rowsOf(data: unknown): unknown[] {
  const { ndarray, tensor } = isObject(data) ? data : {};
  if (Array.isArray(ndarray)) return ndarray;
  const { shape, values } = isObject(tensor) ? tensor : {};
  if (!Array.isArray(values) || !Array.isArray(shape))
    throw invalid('/truth/data', 'must have ndarray, or tensor with shape and values');
  const [rows = 1] = shape as unknown[];
  if (!Number.isSafeInteger(rows) || (rows as number) < 1 || values.length % (rows as number) !== 0)
    throw invalid('/truth/data/tensor', 'has a shape that its values do not fill');
  const width = values.length / (rows as number);
  return Array.from({ length: rows as number }, (_, row) => values.slice(row * width, (row + 1) * width));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(pointer: string, message: string): SlipwayError {
  return new SlipwayError('invalid_request', `${pointer === '' ? 'The body' : pointer} ${message}`, {
    fields: [{ pointer, message }],
  });
}
