/** The generate extension, on the protocol alone. */
import { describe, expect, it } from 'vitest';
import type { SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { openInference } from './open-inference.ts';
import type { InferRoute, WireAnswer } from './protocol.ts';

const route = (end: string): InferRoute =>
  openInference.routes.find((one): one is InferRoute => one.kind === 'infer' && one.path.endsWith(end))!;
const spec = (name: string, datatype: TensorSpec['datatype'], shape: number[], optional = false): TensorSpec => ({
  name,
  datatype,
  shape,
  ...(optional ? { optional } : {}),
});
const signature: Signature = {
  inputs: [spec('prompt', 'BYTES', [-1, 1]), spec('count', 'INT64', [1]), spec('heat', 'FP32', [-1], true)],
  outputs: [spec('text', 'BYTES', [-1, 1]), spec('score', 'FP32', [-1])],
};
const target = (of = signature) => ({ name: 'm@1', signature: of, canBatch: false });
const parse = (body: unknown, of = signature) =>
  route('/generate').parse({ headers: {}, body: Buffer.from(JSON.stringify(body)) }, target(of));
const answered = { endpoint: 'm', version: 1, predictionId: 'p', signature };
const text = (...data: string[]): Tensor => ({ name: 'text', datatype: 'BYTES', shape: [data.length, 1], data });

function fault(body: unknown, of = signature): string {
  try {
    parse(body, of);
  } catch (error) {
    const { message, fields, hint = '', kind } = error as SlipwayError;
    expect(kind).toBe('invalid');
    return [message, ...fields.map((one) => `${one.pointer} ${one.message}`), hint].join('\n');
  }
  return '';
}

describe('generate', () => {
  it('maps text to the only text input, and parameters to the others', () => {
    expect(parse({ id: 'a', text_input: 'once', parameters: { count: 3 } })).toEqual({
      id: 'a',
      rows: 1,
      outputs: ['text'],
      inputs: [
        { name: 'prompt', datatype: 'BYTES', shape: [1, 1], data: ['once'] },
        { name: 'count', datatype: 'INT64', shape: [1], data: BigInt64Array.of(3n) },
      ],
    });
  });

  it('takes tensors of the protocol’s own names before all others', () => {
    const named: Signature = {
      inputs: [spec('other', 'BYTES', [1]), spec('text_input', 'BYTES', [1])],
      outputs: [spec('text_output', 'BYTES', [1]), spec('why', 'BYTES', [1])],
    };
    const request = parse({ text_input: 'x', parameters: { other: 'y' } }, named);
    expect(request.inputs.map((one) => [one.name, one.data])).toEqual([
      ['other', ['y']],
      ['text_input', ['x']],
    ]);
    expect(request.outputs).toEqual(['text_output']);
  });

  it('answers the text; several as a list', () => {
    const request = parse({ id: 'a"', text_input: 'x', parameters: { count: 1 } });
    const write = (output: Tensor) => JSON.parse(route('/generate').write(request, [output], answered) as string);
    expect(write(text('a "b"\n'))).toEqual({ id: 'a"', model_name: 'm', model_version: '1', text_output: 'a "b"\n' });
    expect(write(text('a', 'b')).text_output).toEqual(['a', 'b']);
  });

  it('streams server-sent events: each one line of JSON, the last one says so', () => {
    const request = parse({ text_input: 'x', parameters: { count: 1 } });
    const { contentType, body } = route('/generate_stream').write(request, [text('a\nb')], answered) as WireAnswer;
    expect(contentType).toMatch(/^text\/event-stream/);
    const events = (body as string).split('\n\n').filter(Boolean);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatch(/^data: [^\n]*$/);
    expect(JSON.parse(events[0]!.slice('data: '.length))).toEqual({
      model_name: 'm',
      model_version: '1',
      text_output: 'a\nb',
      done: true,
    });
  });

  it.each<[string, unknown, RegExp]>([
    ['no text', { parameters: { count: 1 } }, /\/text_input is missing/],
    ['text that is a number', { text_input: 5, parameters: { count: 1 } }, /\/text_input must be a string/],
    ['text with NUL', { text_input: 'a\0', parameters: { count: 1 } }, /\/text_input holds the character NUL/],
    ['a missing parameter', { text_input: 'x' }, /\/parameters\/count is missing/],
    ['a parameter of another type', { text_input: 'x', parameters: { count: 'many' } }, /\/parameters\/count must be/],
    ['a parameter that is a list', { text_input: 'x', parameters: { count: [1] } }, /\/parameters\/count must be/],
    [
      'an unknown parameter',
      { text_input: 'x', parameters: { count: 1, top: 1 } },
      /\/parameters\/top is no other input/,
    ],
    ['a parameter every object has', { text_input: 'x', parameters: { count: 1, constructor: 1 } }, /constructor/],
    ['parameters that are a list', { text_input: 'x', parameters: [] }, /\/parameters must be an object/],
    ['an unknown key', { text_input: 'x', stream: true, parameters: { count: 1 } }, /\/stream is not known/],
    ['an id that is no text', { id: 1, text_input: 'x', parameters: { count: 1 } }, /\/id must be a string/],
    ['a list', [], /must be an object/],
  ])('%s is refused with its place', (_title, body, message) => {
    expect(fault(body)).toMatch(message);
  });

  it.each<[string, Signature]>([
    ['no text goes in', { ...signature, inputs: [spec('x', 'FP32', [1])] }],
    ['no text comes out', { ...signature, outputs: [spec('y', 'FP32', [1])] }],
    ['two texts, and no telling which', { ...signature, inputs: [spec('a', 'BYTES', [1]), spec('b', 'BYTES', [1])] }],
  ])('models where %s are called with infer', (_title, of) => {
    expect(fault({ text_input: 'x' }, of)).toMatch(/does not take one text and give one[\s\S]*Call it with infer/);
  });

  it('inputs of more than one value are for infer', () => {
    const wide: Signature = { ...signature, inputs: [spec('prompt', 'BYTES', [-1, 2])] };
    expect(fault({ text_input: 'x' }, wide)).toMatch(/\/text_input is one value, but prompt has more/);
  });
});
