import { describe, expect, test } from 'vitest';
import { endpointView, serverView } from '../../../test/fixtures/protocol-views.ts';
import { columnsOf, parseExactly } from '../../../test/fixtures/read-predictions.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { writeJson } from '../tensors/json-text.ts';
import { nestedValues } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { mlflow } from './mlflow.ts';
import { type InferRoute, type ReadRoute, statusOf, type WireAnswer } from './protocol.ts';
import { protocolConformance } from './protocol-conformance.ts';

const call = (body: string, type = 'application/json') => ({
  headers: { 'content-type': type },
  body: Buffer.from(body),
});

protocolConformance({
  protocol: mlflow,
  write: (inputs) =>
    call(writeJson({ inputs: Object.fromEntries(inputs.map((one) => [one.name, nestedValues(one)])) })),
  read: (answer) => columnsOf((parseExactly(answer.toString()) as { predictions: unknown[] }).predictions),
  readError: (body) => JSON.parse(body) as { message: string },
});

const signature: Signature = {
  inputs: [
    { name: 'numbers', datatype: 'FP32', shape: [-1, 2], features: ['age', 'income'] },
    { name: 'plan', datatype: 'BYTES', shape: [-1, 1] },
  ],
  outputs: [{ name: 'label', datatype: 'INT64', shape: [-1] }],
};
const target: InputTarget = { name: 'm@1', signature, canBatch: true };
const plain: InputTarget = {
  ...target,
  signature: { inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }], outputs: signature.outputs },
};
const route = mlflow.routes.find((one): one is InferRoute => one.path === '/invocations')!;
const parse = (body: string, type?: string, of = target) => route.parse(call(body, type), of);
const refused = (...given: Parameters<typeof parse>): SlipwayError => {
  try {
    parse(...given);
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    return error as SlipwayError;
  }
  throw new Error('it was accepted');
};
const told = (error: SlipwayError): { status: number; contentType: string; body: string } => {
  const status = statusOf(mlflow, error);
  const about = { status, requestId: 'r', method: 'POST', path: '/invocations', headers: {} };
  return { status, ...mlflow.writeError(error, about) };
};

const TENSORS: Tensor[] = [
  { name: 'numbers', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(41, 1000, 0.5, Number.NaN) },
  { name: 'plan', datatype: 'BYTES', shape: [2, 1], data: ['pro', 'a,"b"'] },
];

describe('inputs', () => {
  test.each([
    [
      'dataframe_split',
      '{"dataframe_split":{"columns":["plan","income","age"],"index":[7,8],"data":[["pro",1000,41],["a,\\"b\\"",NaN,0.5]]}}',
    ],
    [
      'dataframe_split with null for a missing number',
      '{"dataframe_split":{"columns":["age","income","plan"],"data":[[41,1000,"pro"],[0.5,null,"a,\\"b\\""]]}}',
    ],
    ['dataframe_split without names', '{"dataframe_split":{"data":[[41,1000,"pro"],[0.5,NaN,"a,\\"b\\""]]}}'],
    [
      'dataframe_records',
      '{"dataframe_records":[{"age":41,"plan":"pro","income":1000},{"plan":"a,\\"b\\"","age":0.5,"income":NaN}]}',
    ],
    ['instances', '{"instances":[{"numbers":[41,1000],"plan":"pro"},{"numbers":[0.5,NaN],"plan":["a,\\"b\\""]}]}'],
    ['inputs', '{"inputs":{"numbers":[[41,1000],[0.5,NaN]],"plan":["pro","a,\\"b\\""]},"params":{}}'],
  ])('%s becomes tensors', (_form, body) => {
    expect(parse(body)).toMatchObject({ inputs: TENSORS, rows: 2, outputs: null });
  });

  test('CSV has a line of names, and quotes', () => {
    const csv = 'plan,age,income\npro,41,1e3\n"a,""b""",.5,\n';
    for (const type of ['text/csv', 'text/csv; charset=UTF-8']) expect(parse(csv, type).inputs).toEqual(TENSORS);
  });

  test('bare values go to the only input', () => {
    const X = { name: 'X', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
    for (const body of [
      '{"instances":[[1,2],[3,4]]}',
      '{"inputs":[[1,2],[3,4]]}',
      '{"dataframe_split":{"columns":["a","b"],"data":[[1,2],[3,4]]}}',
      '{"dataframe_split":{"columns":[0,1],"data":[[1,2],[3,4]]}}',
    ]) {
      expect(parse(body, undefined, plain).inputs, body).toEqual([X]);
    }
  });
});

describe('refusals', () => {
  test.each([
    [
      'image/png',
      "This predictor only supports the following content types: Types: ['text/csv', 'application/json']. Got 'image/png'.",
    ],
    ['application/json; charset=latin-1', 'The scoring server only supports UTF-8'],
    ['application/json; format=pandas-split', 'Unrecognized content type parameters: format.'],
  ])('the type %s is 415, as plain text', (type, message) => {
    expect(told(refused('{}', type))).toEqual({ status: 415, contentType: 'text/plain; charset=utf-8', body: message });
  });

  test('a body without a type is 415 too', () => {
    expect(() => route.parse({ headers: {}, body: Buffer.from('{}') }, target)).toThrow("Got ''.");
  });

  const REQUIRED =
    "The input must be a JSON dictionary with exactly one of the input fields {'dataframe_split', 'dataframe_records', 'instances', 'inputs'}.";
  test.each([
    ['[1]', `Invalid input. ${REQUIRED} Received a list.`],
    ['"1"', `Invalid input. ${REQUIRED} Received unexpected input type a string.`],
    [
      '{"dataframe_records":[],"dataframe_split":{"data":[]}}',
      `${REQUIRED} Received dictionary with input fields: ['dataframe_records', 'dataframe_split'].`,
    ],
    ['{"data":[1]}', `${REQUIRED} Received dictionary with input fields: ['data'].`],
    ['{"inputs":[1],"instances":[1]}', `${REQUIRED} Received dictionary with input fields: ['inputs', 'instances'].`],
    [
      '{"inputs":[1],"signature_name":"x"}',
      'Failed to parse data as TF serving input. "signature_name" is currently not supported.',
    ],
    [
      '{"messages":[]}',
      'm@1 is no text-generation model, so "messages" is not taken; Send one of dataframe_split, dataframe_records, instances, inputs.',
    ],
    [
      '{"inputs":[1],"params":{"k":1}}',
      '`params` can only be specified at inference time if the model signature defines a params schema. This model does not define a params schema.; Leave out k; optional inputs of the model are columns.',
    ],
  ])('%s is told by the words of its own server', (body, message) => {
    const { status, contentType, body: text } = told(refused(body));
    expect(contentType).toBe('application/json');
    expect(status).toBe(400);
    expect((JSON.parse(text) as { message: string }).message).toBe(message);
  });

  test.each([
    [
      '{"dataframe_split":{"columns":["age","plan"],"data":[[1,"a"]]}}',
      ['/dataframe_split/columns lacks income (FP32 [-1,2])'],
    ],
    [
      '{"dataframe_split":{"columns":["age","income","plan"],"data":[[1,2,"a"],[1]]}}',
      ['/dataframe_split/data/1 has 1 values, but 3 columns'],
    ],
    [
      '{"dataframe_split":{"columns":["age","income","plan"],"data":[[1,"x","a"]],"more":1}}',
      ['/dataframe_split/more is not known; a frame has columns, index, data'],
    ],
    [
      '{"dataframe_split":{"columns":["age","income","plan"],"index":[1,2],"data":[[1,2,"a"]]}}',
      ['/dataframe_split/index must be a list with one item for each of the 1 rows'],
    ],
    ['{"dataframe_split":[[1]]}', ['/dataframe_split must be an object with "columns" and "data", not an array']],
    [
      '{"dataframe_records":[{"age":1,"income":2,"plan":"a"},{"age":1,"income":2}]}',
      ['/dataframe_records/1 lacks plan, which the first record has'],
    ],
    [
      '{"dataframe_records":[{"age":1,"income":"x","plan":"a"}]}',
      [
        '/dataframe_records/0/income must be a number; among strings only "NaN", "Infinity" and "-Infinity" stand for one',
      ],
    ],
    ['{"dataframe_records":[]}', ['/dataframe_records/0 has no rows']],
    [
      '{"instances":[{"numbers":[1,2],"plan":"a"},{"numbers":[1],"plan":"a"}]}',
      ['/instances/1/numbers is [1], but dimension 0 of numbers must be 2: FP32 [2]'],
    ],
    [
      '{"inputs":{"numbers":[[1,2]],"plan":["a","b"]}}',
      ['/inputs/plan dimension 0 of plan is 2, but that of numbers is 1; they must be equal'],
    ],
    ['{"inputs":[1],"more":1}', ['/more is not known beside inputs; a request has params there']],
  ])('%s is told the place', (body, fields) => {
    const { code, fields: given } = refused(body);
    expect(code).toBe('invalid_input');
    expect(given.map(({ pointer, message }) => `${pointer} ${message}`)).toEqual(fields);
  });

  test('ragged rows of bare values have their place in what was sent', () => {
    expect(refused('{"instances":[[1,2],[3]]}', undefined, plain).fields[0]!.pointer).toBe('/instances/1');
    expect(refused('{"inputs":[[1,2],[3]]}', undefined, plain).fields[0]!.pointer).toBe('/inputs/1');
  });

  const NO_TABLE =
    'Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid CSV-formatted Pandas DataFrame produced using the `pandas.DataFrame.to_csv()` method. Error: ';
  test.each([
    ['a wrong number of columns', 'age,income,plan\n1,2,a\n1,2\n', 'has 2 fields in line 3, but 3 columns'],
    ['an open quote', 'age,income,plan\n1,2,"a\n', 'is not CSV: field 3 of line 2'],
    ['nothing', '', 'the body'],
  ])('CSV with %s is told by its words, with the line', (_title, body, text) => {
    const { message } = refused(body, 'text/csv');
    expect(message).toContain(NO_TABLE);
    expect(message).toContain(text);
  });

  test.each([
    ['this is,,,, not valid json', 'Invalid input. Ensure that input is a valid JSON formatted string. Error: '],
    ['{"dataframe_split":[[1]]}', 'Invalid input. Dataframe split format must be a dictionary. Got list.'],
    ['{"dataframe_split":5}', 'Invalid input. Dataframe split format must be a dictionary. Got type a number.'],
    [
      '{"dataframe_records":{"data":[]}}',
      'Invalid input. Dataframe records format must be a list of records. Got dictionary.',
    ],
    [
      '{"dataframe_split":{"columns":[],"more":1}}',
      "Invalid input. Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields. Got {'columns', 'more'}.",
    ],
    [
      '{"dataframe_split":{"index":[1,2],"data":[[1],[2],[3]]}}',
      "Provided dataframe_split field is not a valid dataframe representation in 'split' format. Error: 'm@1: /dataframe_split/index must be",
    ],
  ])('%s is told by its words', (body, text) => {
    const { message, fields, code } = refused(body);
    expect(message).toContain(text);
    if (code !== 'invalid_json') expect(fields).not.toEqual([]);
  });

  test('codes are those of its clients, and a late answer is told without JSON', () => {
    const code = (error: SlipwayError): string => (JSON.parse(told(error).body) as { error_code: string }).error_code;
    expect(code(new SlipwayError('endpoint_not_found', 'x'))).toBe('RESOURCE_DOES_NOT_EXIST');
    expect(code(new SlipwayError('key_missing', 'x'))).toBe('UNAUTHENTICATED');
    expect(told(new SlipwayError('deadline_exceeded', 'x'))).toMatchObject({
      status: 504,
      body: 'Request processing time exceeded limit',
    });
  });
});

test('probes answer an empty line, and 404 where nothing is ready', () => {
  const read = (path: string, ready: boolean): WireAnswer =>
    mlflow.routes
      .find((one): one is ReadRoute => one.path === path)!
      .read(serverView({ ready }), endpointView({ ready }), { headers: {} }) as WireAnswer;
  for (const path of ['/ping', '/health', '/m/{endpoint}/ping', '/m/{endpoint}/health']) {
    expect(read(path, true)).toMatchObject({ status: 200, body: '\n' });
    expect(read(path, false)).toMatchObject({ status: 404, body: '\n' });
  }
  expect(read('/version', true)).toMatchObject({ body: '1.2.3' });
});

test('numbers that are not finite are answered as Python reads them', () => {
  const outputs: Tensor[] = [{ name: 'Y', datatype: 'FP64', shape: [2, 1], data: Float64Array.of(Number.NaN, 1) }];
  const of: Signature = { inputs: plain.signature.inputs, outputs: [{ name: 'Y', datatype: 'FP64', shape: [-1, 1] }] };
  const answered = { endpoint: 'm', version: 1, predictionId: 'p', signature: of };
  expect(route.write({ id: null, inputs: [], rows: 2, outputs: null }, outputs, answered)).toBe(
    '{"predictions":[[NaN],[1]]}',
  );
});
