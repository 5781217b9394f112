/**
 * What every protocol must keep, whatever its wire form. A protocol's test calls this with a way to write its requests and to read
 * its answers: `protocolConformance({ protocol, write, read, readError })`.
 */
import { describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode, type ErrorKind, SlipwayError } from '../../base/errors.ts';
import type { Signature } from '../../registry/signature.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { Tensor } from '../tensors/tensor.ts';
import {
  type Answered,
  type InferRoute,
  methodsOf,
  type Protocol,
  statusOf,
  type WireAnswer,
  type WireCall,
} from './protocol.ts';

export type ConformanceCase = {
  readonly protocol: Protocol;
  /** A whole request for these inputs, in the protocol's wire form. */
  readonly write: (inputs: readonly Tensor[]) => WireCall;
  /** The outputs that an answer holds, by name, with their elements as strings in row-major order. */
  readonly read: (answer: string | Uint8Array, request: { rows: number }) => Record<string, string[]>;
  readonly readError: (body: string) => { readonly message: string };
  /** `form` of a request whose answer `read` reads, where the protocol's own `write` needs one. */
  readonly requestForm?: unknown;
  /** Tests that this protocol cannot pass, by title, each with its reason. */
  readonly skip?: readonly { readonly test: string; readonly reason: string }[];
};

const signature: Signature = {
  inputs: [
    { name: 'f', datatype: 'FP32', shape: [-1, 2] },
    { name: 'i', datatype: 'INT64', shape: [-1, 1] },
    { name: 's', datatype: 'BYTES', shape: [-1, 1], optional: true },
  ],
  outputs: [
    { name: 'f', datatype: 'FP32', shape: [-1, 2] },
    { name: 'i', datatype: 'INT64', shape: [-1, 1] },
    { name: 'b', datatype: 'BOOL', shape: [-1, 1] },
    { name: 's', datatype: 'BYTES', shape: [-1, 1] },
  ],
};
const target: InputTarget = { name: 'm@3', signature, canBatch: true };
const answered: Answered = {
  endpoint: 'm',
  version: 3,
  predictionId: '01890000-0000-7000-8000-000000000000',
  signature,
};

const f = (data: readonly number[], rows = data.length / 2): Tensor => ({
  name: 'f',
  datatype: 'FP32',
  shape: [rows, 2],
  data: Float32Array.from(data),
});
const i = (...data: readonly bigint[]): Tensor => ({
  name: 'i',
  datatype: 'INT64',
  shape: [data.length, 1],
  data: BigInt64Array.from(data),
});
const s = (...data: readonly string[]): Tensor => ({ name: 's', datatype: 'BYTES', shape: [data.length, 1], data });
const b = (...data: readonly number[]): Tensor => ({
  name: 'b',
  datatype: 'BOOL',
  shape: [data.length, 1],
  data: Uint8Array.from(data),
});

const HARD_STRINGS = ['', 'ünï ✓ 𝄞', '"quoted" \\ /', 'line\nbreak\ttab', '__proto__', '</script>', '9007199254740993'];

/** An answer in chunks, as one. */
function bodyOf(written: string | WireAnswer): string | Uint8Array {
  const body = typeof written === 'string' ? written : written.body;
  return Array.isArray(body) ? Buffer.concat(body) : (body as string | Uint8Array);
}

export function protocolConformance({
  protocol,
  write,
  read,
  readError,
  requestForm,
  skip = [],
}: ConformanceCase): void {
  const test = (title: string, work: () => void): void => {
    const reason = skip.find((one) => one.test === title)?.reason;
    if (reason === undefined) it(title, work);
    else it.skip(`${title} (${reason})`, work);
  };
  const route = protocol.routes.find((one): one is InferRoute => one.kind === 'infer')!;
  const refused = (call: WireCall): SlipwayError => {
    try {
      route.parse(call, target);
    } catch (error) {
      expect(error).toBeInstanceOf(SlipwayError);
      return error as SlipwayError;
    }
    throw new Error('it was accepted');
  };
  const refusedInputs = (...inputs: readonly Tensor[]): SlipwayError => {
    const error = refused(write(inputs));
    expect(error.code).toBe('invalid_input');
    expect(error.fields.length).toBeGreaterThan(0);
    for (const field of error.fields) expect(field.pointer).toMatch(/^(?:\/[^/]*)*$/);
    return error;
  };

  describe(`protocol ${protocol.name}: routes`, () => {
    test('each path is there once a method, and starts with a slash', () => {
      const keys = protocol.routes.flatMap((one) => methodsOf(one).map((method) => `${method} ${one.path}`));
      expect(new Set(keys).size).toBe(keys.length);
      const paths = protocol.routes.filter(({ kind }) => kind === 'infer').map(({ path }) => path);
      expect(new Set(paths).size, 'threads find a prediction by its path').toBe(paths.length);
      for (const { path } of protocol.routes) expect(path).toMatch(/^(\/|(\/[a-zA-Z0-9{}.:_-]+)+)$/);
    });

    test('a prediction names its endpoint in the path, or has a way to', () => {
      for (const one of protocol.routes) {
        if (one.kind === 'infer' && one.nameEndpoint === undefined) expect(one.path).toContain('{endpoint}');
      }
    });
  });

  describe(`protocol ${protocol.name}: requests`, () => {
    test('tensors come through exactly', () => {
      const strings = HARD_STRINGS;
      const floats = strings.flatMap((_, at) => [at / 8, (at + 1) * -1e30]);
      const integers = strings.map((_, at) => 2n ** 63n - 1n - BigInt(at));
      const request = route.parse(write([f(floats), i(...integers), s(...strings)]), target);
      expect(request.rows).toBe(strings.length);
      expect(request.inputs).toEqual([f(floats), i(...integers), s(...strings)]);
    });

    test('non-finite floats come through', () => {
      const data = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
      expect(route.parse(write([f(data), i(1n, 2n)]), target).inputs[0]!.data).toEqual(Float32Array.from(data));
    });

    test('an optional input may be left out', () => {
      expect(route.parse(write([f([1, 2]), i(1n)]), target).inputs.map((one) => one.name)).toEqual(['f', 'i']);
    });

    test('a missing input is refused', () => {
      expect(refusedInputs(f([1, 2])).message).toContain('i');
    });

    test('an unknown input is refused', () => {
      refusedInputs(f([1, 2]), i(1n), { ...i(1n), name: 'zzz' });
    });

    test('a wrong shape is refused', () => {
      refusedInputs({ name: 'f', datatype: 'FP32', shape: [1, 3], data: Float32Array.of(1, 2, 3) }, i(1n));
    });

    test('different numbers of rows are refused', () => {
      refusedInputs(f([1, 2, 3, 4]), i(1n));
    });

    test('faults in several inputs are told at once', () => {
      const error = refusedInputs({ ...s('x'), name: 'f' }, { ...s('x'), name: 'i' });
      expect(error.fields.length).toBeGreaterThanOrEqual(2);
    });

    test('bytes that are no request are refused as invalid, not as a fault of ours', () => {
      const { headers } = write([f([1, 2]), i(1n)]);
      for (const text of [
        '',
        '{',
        'null',
        '[]',
        '"x"',
        '\u0000',
        '{"a":1,"a":2}',
        `${'['.repeat(5000)}${']'.repeat(5000)}`,
      ]) {
        expect(refused({ headers, body: Buffer.from(text) }).kind).toBe('invalid');
      }
      expect(refused({ headers, body: Buffer.from([0xff, 0xfe, 0x00, 0x22]) }).kind).toBe('invalid');
    });
  });

  describe(`protocol ${protocol.name}: answers`, () => {
    test('outputs come through exactly', () => {
      const integers = HARD_STRINGS.map((_, at) => -(2n ** 63n) + BigInt(at));
      const floats = HARD_STRINGS.flatMap((_, at) => [at / 3, Math.fround(at * 1e-40)]);
      const bits = HARD_STRINGS.map((_, at) => at % 2);
      const request = { id: null, inputs: [], rows: HARD_STRINGS.length, outputs: null, form: requestForm };
      const outputs = [f(floats), i(...integers), b(...bits), s(...HARD_STRINGS)];
      const written = route.write(request, outputs, answered);
      const seen = read(bodyOf(written), { rows: request.rows });
      expect(seen['i']).toEqual(integers.map(String));
      expect(seen['f']!.map((text) => Math.fround(Number(text)))).toEqual([...Float32Array.from(floats)]);
      expect(seen['b']).toEqual(bits.map((bit) => String(bit === 1)));
      expect(seen['s']).toEqual(HARD_STRINGS);
    });

    test('non-finite outputs are told, not lost', () => {
      const outputs = [f([Number.NaN, Number.NEGATIVE_INFINITY]), i(1n), b(1), s('x')];
      const written = route.write(
        { id: null, inputs: [], rows: 1, outputs: null, form: requestForm },
        outputs,
        answered,
      );
      const seen = read(bodyOf(written), { rows: 1 });
      expect(seen['f']).toEqual(['NaN', '-Infinity']);
    });
  });

  describe(`protocol ${protocol.name}: errors`, () => {
    const about = { status: 400, requestId: 'r-1', method: 'POST', path: '/x' };

    test('every code has a status that fits its kind', () => {
      const clients: readonly ErrorKind[] = [
        'invalid',
        'unauthorized',
        'forbidden',
        'not_found',
        'conflict',
        'too_large',
      ];
      for (const code of Object.keys(ERRORS) as ErrorCode[]) {
        const error = new SlipwayError(code, 'x');
        const status = statusOf(protocol, error);
        if (code === 'not_offered') expect(status).toBe(501);
        else if (clients.includes(error.kind)) expect([code, Math.floor(status / 100)]).toEqual([code, 4]);
        else if (error.kind === 'internal') expect([code, status]).toEqual([code, 500]);
        else expect([code, [429, 503, 504].includes(status)]).toEqual([code, true]);
      }
    });

    test('an error says what is wrong and keeps its cause to itself', () => {
      const cause = new Error('secret cause at /home/somebody');
      const { body } = protocol.writeError(
        new SlipwayError('internal', 'It went wrong', { cause, hint: 'Try again.' }),
        about,
      );
      expect(readError(body).message).toContain('It went wrong');
      expect(body).not.toContain('secret');
      expect(body).not.toContain('node:');
    });

    test('all fields of an error are in it', () => {
      const fields = [
        { pointer: '/a/0', message: 'is "odd"' },
        { pointer: '/b', message: 'is missing' },
      ];
      const { body } = protocol.writeError(new SlipwayError('invalid_input', 'Two faults', { fields }), about);
      for (const { pointer, message } of fields) {
        expect(body).toContain(pointer);
        expect(body).toContain(JSON.stringify(message).slice(1, -1));
      }
    });
  });
}
