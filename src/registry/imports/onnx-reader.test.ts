import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modelBytes } from '../../../test/fixtures/registry.ts';
import { readOnnxModel } from './onnx-reader.ts';
import { type ByteSource, bytesSource, ProtobufFault } from './protobuf-cursor.ts';

// A few lines that write protobuf, for models that no exporter would make.
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
const bytes = (number: number, payload: readonly number[]): number[] => [
  ...varint(number * 8 + 2),
  ...varint(payload.length),
  ...payload,
];
const text = (number: number, value: string): number[] => bytes(number, [...Buffer.from(value)]);
const int = (number: number, value: number): number[] => [...varint(number * 8), ...varint(value)];
const floatInfo = (field: number, name: string) => bytes(field, [...text(1, name), ...bytes(2, bytes(1, int(1, 1)))]);
const interfaceOf = [...floatInfo(11, 'X'), ...floatInfo(12, 'Y')];
const model = (graph: readonly number[], rest: readonly number[] = []) => [
  ...int(1, 8),
  ...bytes(8, int(2, 13)),
  ...rest,
  ...bytes(7, graph),
];

const read = (content: readonly number[]) => readOnnxModel(bytesSource(Uint8Array.from(content)));
const fault = async (content: readonly number[]): Promise<string> => {
  const error = await read(content).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ProtobufFault);
  return (error as ProtobufFault).message;
};

describe('a model as it should be', () => {
  it('nodes are counted by domain and operator, in sub-graphs too', async () => {
    const inner = bytes(1, [...text(2, 'b'), ...text(4, 'Relu')]);
    const outer = bytes(1, [...text(4, 'If'), ...bytes(5, [...text(1, 'then_branch'), ...bytes(6, inner)])]);
    const foreign = bytes(1, [...text(4, 'Magic'), ...text(7, 'com.example')]);
    const { ops, nodeCount } = await read(model([...outer, ...foreign, ...interfaceOf]));
    expect(Object.fromEntries(ops)).toEqual({ 'ai.onnx/If': 1, 'ai.onnx/Relu': 1, 'com.example/Magic': 1 });
    expect(nodeCount).toBe(3);
  });

  it('external weights are found in constants and sub-graphs as well', async () => {
    const external = (name: string) => [
      ...text(8, name),
      ...bytes(13, [...text(1, 'location'), ...text(2, `${name}.bin`)]),
      ...int(14, 1),
    ];
    const constant = bytes(1, [...text(4, 'Constant'), ...bytes(5, bytes(5, external('a')))]);
    const branch = bytes(1, [...text(4, 'If'), ...bytes(5, bytes(6, bytes(5, external('b'))))]);
    const found = await read(model([...constant, ...branch, ...bytes(5, external('c')), ...interfaceOf]));
    expect(found.external.map((one) => one.location)).toEqual(['a.bin', 'b.bin', 'c.bin']);
  });

  it('a dimension of 0, -1 or without a value is free', async () => {
    const minusOne = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    const shape = bytes(2, [...bytes(1, int(1, 0)), ...bytes(1, minusOne), ...bytes(1, []), ...bytes(1, int(1, 7))]);
    const input = bytes(11, [...text(1, 'X'), ...bytes(2, bytes(1, [...int(1, 1), ...shape]))]);
    const { inputs } = await read(model([...input, ...floatInfo(12, 'Y')]));
    expect(inputs[0]!.type).toEqual({ kind: 'tensor', elemType: 1, dims: [null, null, null, 7] });
  });

  it('a file of 2 GB is read with a few megabytes of memory', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-onnx-'));
    const fd = openSync(join(folder, 'big.onnx'), 'w+');
    try {
      // One tensor of nearly 2 GB, as a hole in the file, between the graph's head and its inputs.
      const weights = 2 ** 31 - 4096;
      const tensorHead = [...int(2, 1), ...text(8, 'W'), ...varint(9 * 8 + 2), ...varint(weights)];
      const tensor = [...varint(5 * 8 + 2), ...varint(tensorHead.length + weights), ...tensorHead];
      const graphBytes = tensor.length + weights + interfaceOf.length;
      const head = Uint8Array.from([
        ...int(1, 8),
        ...bytes(8, int(2, 13)),
        ...varint(7 * 8 + 2),
        ...varint(graphBytes),
        ...tensor,
      ]);
      writeSync(fd, head);
      writeSync(fd, Uint8Array.from(interfaceOf), 0, interfaceOf.length, head.length + weights);
      const sizeBytes = head.length + weights + interfaceOf.length;
      ftruncateSync(fd, sizeBytes);
      let bytesRead = 0;
      const source: ByteSource = {
        sizeBytes,
        readAt: (target, position) => {
          const count = readSync(fd, target, 0, target.length, position);
          bytesRead += count;
          return count;
        },
      };
      const found = await readOnnxModel(source);
      expect(found.inputs[0]!.name).toBe('X');
      expect(found.initializerBytes).toBe(weights);
      expect(bytesRead).toBeLessThan(1024 * 1024);
    } finally {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  });
});

describe('bytes that are no model', () => {
  it.each([
    ['nothing', [], /no graph/],
    [
      'a length beyond the end',
      [...int(1, 8), 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f],
      /says that it has 4294967295 bytes, and 0 are left/,
    ],
    ['a length near 2^64', [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], /bytes, and 0 are left/],
    ['an endless number', [0x08, ...Array(12).fill(0xff)], /longer than ten bytes/],
    ['a field without a number', [0x00, 0x01], /no number/],
    ['a group', [0x0b, 0x0c], /a type that protobuf does not have/],
    ['a graph that is a number', [...int(1, 8), ...int(7, 1)], /field 7 has the wrong type/],
    ['an IR version that is a text', text(1, 'eight'), /field 1 has the wrong type/],
    ['two graphs', [...model(interfaceOf), ...bytes(7, interfaceOf)], /two graphs/],
    ['neither version nor operator set', bytes(7, interfaceOf), /neither an IR version nor an operator set/],
    ['two inputs of one name', model([...floatInfo(11, 'X'), ...interfaceOf]), /two inputs have the name "X"/],
    [
      'an input called __proto__',
      model([...floatInfo(11, '__proto__'), ...interfaceOf]),
      /called __proto__, which no request/,
    ],
    ['an input without a name', model([...floatInfo(11, ''), ...interfaceOf]), /an input has no name/],
    ['a name that is not UTF-8', model(bytes(11, bytes(1, [0xff, 0xfe]))), /not UTF-8/],
    ['a name of a megabyte', model(floatInfo(11, 'x'.repeat(2 ** 20))), /more than 1024/],
    [
      'external weights nowhere',
      model([...bytes(5, [...text(8, 'W'), ...int(14, 1)]), ...interfaceOf]),
      /does not say where/,
    ],
    [
      'external weights at a strange offset',
      model([
        ...bytes(5, [
          ...text(8, 'W'),
          ...bytes(13, [...text(1, 'location'), ...text(2, 'w')]),
          ...bytes(13, [...text(1, 'offset'), ...text(2, '-5')]),
        ]),
        ...interfaceOf,
      ]),
      /offset or length that is no number/,
    ],
  ])('%s', async (_what, content, message) => {
    expect(await fault(content as number[])).toMatch(message as RegExp);
  });

  it('graphs nested without end', async () => {
    let graph = [...interfaceOf];
    for (let i = 0; i < 100; i++) graph = bytes(1, [...text(4, 'If'), ...bytes(5, bytes(6, graph))]);
    expect(await fault(model(graph))).toMatch(/nested more than 32 deep/);
  });

  it.each([
    ['attributes', bytes(1, Array.from({ length: 5000 }, () => bytes(5, [])).flat()), /more than 4096 attributes/],
    [
      'kinds of operators',
      Array.from({ length: 5000 }, (_, i) => bytes(1, text(4, `op${i}`))).flat(),
      /too many kinds/,
    ],
    [
      'weight files',
      Array.from({ length: 5000 }, (_, i) => bytes(5, bytes(13, [...text(1, 'location'), ...text(2, `w${i}`)]))).flat(),
      /too many files/,
    ],
    [
      'kilobytes of operator names',
      Array.from({ length: 300 }, (_, i) => bytes(1, text(4, `${i}${'x'.repeat(60_000)}`))).flat(),
      /more names and labels/,
    ],
  ])('too many %s', async (_what, graph, message) => {
    expect(await fault(model([...graph, ...interfaceOf]))).toMatch(message);
  });

  it('metadata that is too much is left out', async () => {
    const entry = (key: string, value: string) => bytes(14, [...text(1, key), ...text(2, value)]);
    const many = Array.from({ length: 400 }, (_, i) => entry(`k${i}`, 'v')).flat();
    const { metadata } = await read(
      model(interfaceOf, [...entry('large', 'x'.repeat(300_000)), ...entry('__proto__', 'p'), ...many]),
    );
    expect(metadata.size).toBe(256);
    expect(metadata.has('large')).toBe(false);
    expect(metadata.get('__proto__')).toBe('p');
  });

  it('more inputs than anyone could send', async () => {
    const many = Array.from({ length: 5000 }, (_, i) => floatInfo(11, `x${i}`)).flat();
    expect(await fault(model(many))).toMatch(/more than 4096 inputs and outputs/);
  });

  it('every beginning of a real model is told from the whole, or read as a smaller one', async () => {
    const whole = modelBytes('zipmap-strings.onnx');
    for (let length = 0; length < whole.length; length++) {
      const found = await readOnnxModel(bytesSource(whole.subarray(0, length))).catch((error: unknown) => error);
      if (!(found instanceof ProtobufFault)) expect(found).toMatchObject({ inputs: expect.any(Array) });
    }
  });

  it('damaged bytes never end in anything but a fault or a model', async () => {
    const whole = modelBytes('mixed.onnx');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }),
        async (edits) => {
          const damaged = Uint8Array.from(whole);
          for (const [at, value] of edits) damaged[at] = value;
          const found = await readOnnxModel(bytesSource(damaged)).catch((error: unknown) => error);
          if (!(found instanceof ProtobufFault)) expect(found).toMatchObject({ inputs: expect.any(Array) });
        },
      ),
      { numRuns: 500 },
    );
  });
});
