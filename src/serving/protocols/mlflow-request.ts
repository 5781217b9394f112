/** Bodies of MLflow's scoring server: data frames in two orientations, TensorFlow Serving's two forms, and CSV with a line of names. */
import { SlipwayError } from '../../base/errors.ts';
import { readCsvBody } from '../inputs/csv-body.ts';
import { type MediaType, parseMediaType } from '../inputs/media-type.ts';
import { readTableRows } from '../inputs/table-rows.ts';
import { type InputTarget, invalidInput } from '../tensors/input-check.ts';
import { kindOf } from '../tensors/json-elements.ts';
import { mostKeysOf, type PlainInputs } from '../tensors/plain-codec.ts';
import { readColumns, readInstances } from './instances.ts';
import { retelling, tellForm, tellJson, tellRecords, tellSplit, tellTable } from './mlflow-faults.ts';
import { quotedKeys, readRowsUnder } from './number-rows.ts';
import type { InferRequest, WireCall } from './protocol.ts';
import { readPythonJson } from './python-json.ts';

const FORMS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'] as const;
type Form = (typeof FORMS)[number];
/** MLflow hands bodies with one of these to text-generation models as they are. */
const GENERATIVE = ['messages', 'prompt', 'input'];
const REQUIRED = `The input must be a JSON dictionary with exactly one of the input fields {${FORMS.map((form) => `'${form}'`).join(', ')}}`;

const KEYS_OF_ROWS = quotedKeys('inputs', 'instances');
/** What nearly all calls say. */
const JSON_TYPE: MediaType = { name: 'application/json', parameters: new Map() };

/** @throws SlipwayError `unsupported_media`, `invalid_json`, `invalid_request`, `unsupported_option`, `invalid_input` with all faults */
export function parseInvocation(call: WireCall, target: InputTarget): InferRequest {
  const type = mediaTypeOf(call);
  const read =
    type.name === 'text/csv'
      ? retelling(() => readCsvBody(call.body, withHeader(type), target), tellTable)
      : readDocument(call, target);
  return { id: null, outputs: null, ...read };
}

function mediaTypeOf({ headers }: WireCall): MediaType {
  const header = headers['content-type'];
  if (header === JSON_TYPE.name) return JSON_TYPE;
  const text = typeof header === 'string' ? header : '';
  const type = parseMediaType(text);
  if (type.name !== 'text/csv' && type.name !== 'application/json') {
    throw new SlipwayError(
      'unsupported_media',
      `This predictor only supports the following content types: Types: ['text/csv', 'application/json']. Got '${text.slice(0, 100)}'.`,
    );
  }
  const charset = type.parameters.get('charset')?.toLowerCase() ?? 'utf-8';
  if (charset !== 'utf-8') throw new SlipwayError('unsupported_media', 'The scoring server only supports UTF-8');
  const others = [...type.parameters.keys()].filter((name) => name !== 'charset');
  if (others.length > 0) {
    throw new SlipwayError(
      'unsupported_media',
      `Unrecognized content type parameters: ${others.join(', ').slice(0, 200)}.`,
    );
  }
  return type;
}

/** Frames are written by `to_csv()`, whose first line is the names. */
function withHeader({ name }: MediaType): MediaType {
  return { name, parameters: new Map([['header', 'present']]) };
}

function readDocument(call: WireCall, target: InputTarget): PlainInputs {
  const rows = readRowsUnder(KEYS_OF_ROWS, call.body, target);
  if (rows !== null) return rows;
  const body = retelling(() => readPythonJson(call.body, mostKeysOf(target.signature)), tellJson);
  if (Array.isArray(body)) throw wrongForm(tellForm(`${REQUIRED}. Received a list.`));
  if (typeof body !== 'object' || body === null) {
    throw wrongForm(tellForm(`${REQUIRED}. Received unexpected input type ${kindOf(body)}.`));
  }
  const document = body as Record<string, unknown>;
  const generative = GENERATIVE.find((key) => Object.hasOwn(document, key));
  if (generative !== undefined) {
    throw new SlipwayError(
      'unsupported_option',
      `${target.name} is no text-generation model, so "${generative}" is not taken`,
      {
        hint: `Send one of ${FORMS.join(', ')}.`,
      },
    );
  }
  const given = FORMS.filter((form) => Object.hasOwn(document, form));
  const keys = Object.keys(document);
  if (given.length !== 1) {
    const shown = keys.slice(0, 20).map((key) => `'${key.slice(0, 80)}'`);
    throw wrongForm(`${REQUIRED}. Received dictionary with input fields: [${shown.join(', ')}].`);
  }
  const [form] = given as [Form];
  assertOthers(document, form, target);
  return readForm(form, document[form], target);
}

function assertOthers(document: Record<string, unknown>, form: Form, target: InputTarget): void {
  for (const key of Object.keys(document)) {
    if (key === form) continue;
    if (key === 'params') assertNoParams(document[key], target);
    else if (key === 'signature_name') {
      throw new SlipwayError(
        'unsupported_option',
        'Failed to parse data as TF serving input. "signature_name" is currently not supported.',
      );
    } else {
      throw invalidInput(target, [
        { pointer: `/${key.slice(0, 100)}`, message: `is not known beside ${form}; a request has params there` },
      ]);
    }
  }
}

/** Models here have no parameters besides their inputs; MLflow drops them with a line in its log. */
function assertNoParams(params: unknown, target: InputTarget): void {
  const isObject = typeof params === 'object' && params !== null && !Array.isArray(params);
  if (params === null || (isObject && Object.keys(params).length === 0)) return;
  if (!isObject)
    throw invalidInput(target, [{ pointer: '/params', message: `must be an object, not ${kindOf(params)}` }]);
  throw new SlipwayError(
    'unsupported_option',
    '`params` can only be specified at inference time if the model signature defines a params schema. This model does not define a params schema.',
    { hint: `Leave out ${Object.keys(params).slice(0, 20).join(', ')}; optional inputs of the model are columns.` },
  );
}

function readForm(form: Form, given: unknown, target: InputTarget): PlainInputs {
  if (form === 'instances') return readInstances(given, target);
  if (form === 'inputs') return readColumns(given, target);
  return form === 'dataframe_split'
    ? retelling(
        () => readSplitFrame(given, target, '/dataframe_split'),
        (error) => tellSplit(given, error),
      )
    : retelling(
        () => readFrameRecords(given, target),
        () => tellRecords(given),
      );
}

/** `{"columns": […], "index": […], "data": [[…]]}`; the index says nothing about the values. */
export function readSplitFrame(given: unknown, target: InputTarget, at: string): PlainInputs {
  const fault = (pointer: string, message: string): SlipwayError => invalidInput(target, [{ pointer, message }]);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw fault(at, `must be an object with "columns" and "data", not ${kindOf(given)}`);
  }
  const { columns, data, index, ...others } = given as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw fault(`${at}/${other.slice(0, 100)}`, 'is not known; a frame has columns, index, data');
  if (!Array.isArray(data))
    throw fault(`${at}/data`, data === undefined ? 'is missing' : `must be a list of rows, not ${kindOf(data)}`);
  const uneven = data.findIndex((row) => !Array.isArray(row));
  if (uneven !== -1) throw fault(`${at}/data/${uneven}`, `must be a list of values, not ${kindOf(data[uneven])}`);
  if (columns !== undefined && !isNames(columns)) throw fault(`${at}/columns`, 'must be a list of names');
  if (index !== undefined && (!Array.isArray(index) || index.length !== data.length)) {
    throw fault(`${at}/index`, `must be a list with one item for each of the ${data.length} rows`);
  }
  const pointerOfRow = (row: number): string => `${at}/data/${row}`;
  return readTableRows({ names: columns ?? null, rows: data, pointerOfNames: `${at}/columns`, pointerOfRow }, target);
}

function isNames(columns: unknown): columns is (string | number)[] {
  return Array.isArray(columns) && columns.every((name) => typeof name === 'string' || typeof name === 'number');
}

function readFrameRecords(given: unknown, target: InputTarget): PlainInputs {
  const at = '/dataframe_records';
  const fault = (pointer: string, message: string): SlipwayError => invalidInput(target, [{ pointer, message }]);
  if (!Array.isArray(given)) throw fault(at, `must be a list of objects, not ${kindOf(given)}`);
  const odd = given.findIndex((record) => typeof record !== 'object' || record === null || Array.isArray(record));
  if (odd !== -1) throw fault(`${at}/${odd}`, `must be an object by column name, not ${kindOf(given[odd])}`);
  const records = given as Record<string, unknown>[];
  const names = Object.keys(records[0] ?? {});
  const rows = records.map((record, row) => {
    const values = names.map((name) => (Object.hasOwn(record, name) ? record[name] : undefined));
    const missing = values.indexOf(undefined);
    if (missing !== -1)
      throw fault(`${at}/${row}`, `lacks ${names[missing]!.slice(0, 100)}, which the first record has`);
    const more =
      Object.keys(record).length > names.length ? Object.keys(record).find((name) => !names.includes(name)) : undefined;
    if (more !== undefined) throw fault(`${at}/${row}`, `has ${more.slice(0, 100)}, which the first record has not`);
    return values;
  });
  const pointerOfCell = (row: number, column: number): string => `${at}/${row}/${names[column]}`;
  return readTableRows(
    { names, rows, pointerOfNames: `${at}/0`, pointerOfRow: (row) => `${at}/${row}`, pointerOfCell },
    target,
  );
}

function wrongForm(message: string): SlipwayError {
  return new SlipwayError('invalid_request', message);
}
