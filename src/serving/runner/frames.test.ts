import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DATATYPES, type TensorSpec } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { createFrameReader, readJson, readTensors } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { FRAME, FrameError, frameSource, frameTensors, HEADER_BYTES } from './frames.ts';

type Seen = { kind: number; id: number; rows: number; value: number; tensors?: Tensor[]; json?: unknown };

function collect(specs: readonly TensorSpec[], seen: Seen[], maxFrameBytes?: number) {
  return createFrameReader((kind, source, at, size) => {
    const word = at >>> 2;
    const frame: Seen = {
      kind,
      id: source.u32[word + 2]!,
      rows: source.u32[word + 3]!,
      value: source.f64[(at >>> 3) + 2]!,
    };
    if (kind === FRAME.infer || kind === FRAME.result)
      frame.tensors = readTensors(source, at, size, frameTensors(specs));
    else if (kind !== FRAME.cancel && kind !== FRAME.skipped) frame.json = readJson(source, at, size);
    seen.push(frame);
  }, maxFrameBytes);
}

async function connectedPair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const one = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [other] = await accepted;
  server.close();
  return [one, other];
}

const SPECS: TensorSpec[] = DATATYPES.map((datatype, i) => ({
  name: `t${i}`,
  datatype,
  shape: [-1, -1],
  optional: i % 2 === 1,
}));

/** Any tensor of a spec with `rows` rows, any bits, any text. */
function anyTensor(spec: TensorSpec, rows: number): fc.Arbitrary<Tensor> {
  return fc.integer({ min: 0, max: 3 }).chain((width): fc.Arbitrary<Tensor> => {
    const shape = [rows, width];
    const count = rows * width;
    const { array, bytes } = datatypeInfo(spec.datatype);
    if (array === null) {
      const text = fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 12 }),
        fc.constantFrom('', 'é', '\u{1f600}', 'a\0b'),
      );
      return fc
        .array(text, { minLength: count, maxLength: count })
        .map((data) => ({ name: spec.name, datatype: spec.datatype, shape, data }));
    }
    return fc.uint8Array({ minLength: count * bytes, maxLength: count * bytes }).map((raw) => ({
      name: spec.name,
      datatype: spec.datatype,
      shape,
      data: new array(raw.slice().buffer, 0, count),
    }));
  });
}

const anyCall = fc.integer({ min: 0, max: 4 }).chain((rows) =>
  fc.record({
    rows: fc.constant(rows),
    id: fc.integer({ min: 0, max: 0xffff_ffff }),
    deadline: fc.double({ noNaN: true }),
    tensors: fc
      .tuple(
        ...SPECS.map((spec) =>
          spec.optional ? fc.option(anyTensor(spec, rows), { nil: undefined }) : anyTensor(spec, rows),
        ),
      )
      .map((all) => all.filter((tensor) => tensor !== undefined)),
  }),
);

function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const edges = [0, ...at.map((where) => where % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  // Each piece is memory of its own at an odd place, as a socket may give it.
  return edges.slice(1).map((edge, i) => {
    const from = edges[i]!;
    const memory = new Uint8Array(edge - from + 3);
    memory.set(bytes.subarray(from, edge), 3);
    return memory.subarray(3);
  });
}

/** The bits of a tensor, so that NaN equals itself. */
const bits = (tensor: Tensor) => ({
  ...tensor,
  data: Array.isArray(tensor.data)
    ? tensor.data
    : Buffer.from(
        (tensor.data as Uint8Array).buffer,
        (tensor.data as Uint8Array).byteOffset,
        (tensor.data as Uint8Array).byteLength,
      ).toString('hex'),
});

describe('frames', () => {
  test('any calls come out of the stream as they went in, however the bytes were cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyCall, { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (calls, cuts) => {
          const writer = new FrameWriter();
          const specs = frameTensors(SPECS);
          for (const call of calls) writer.infer(call.id, call.rows, call.deadline, call.tensors, specs);
          const seen: Seen[] = [];
          const reader = collect(SPECS, seen);
          for (const piece of cut(writer.written(), cuts)) reader.push(piece);
          expect(
            seen.map(({ id, rows, value, tensors }) => ({ id, rows, value, tensors: tensors!.map(bits) })),
          ).toEqual(
            calls.map(({ id, rows, deadline, tensors }) => ({ id, rows, value: deadline, tensors: tensors.map(bits) })),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test('one byte at a time is enough, for texts as well', () => {
    const writer = new FrameWriter();
    writer.json(FRAME.load, 0, { hello: 'wörld' });
    writer.bare(FRAME.cancel, 7);
    writer.json(FRAME.fault, 9, { message: 'x'.repeat(100_000) });
    const seen: Seen[] = [];
    const reader = collect([], seen);
    for (const byte of writer.written()) reader.push(Uint8Array.of(byte));
    expect(seen.map((frame) => frame.kind)).toEqual([FRAME.load, FRAME.cancel, FRAME.fault]);
    expect(seen[0]!.json).toEqual({ hello: 'wörld' });
    expect(seen[1]!.id).toBe(7);
    expect(seen[2]!.json).toEqual({ message: 'x'.repeat(100_000) });
  });

  test('rows of a shared run go back to their own calls', () => {
    const specs: TensorSpec[] = [
      { name: 'Y', datatype: 'FP32', shape: [-1, 2] },
      { name: 'S', datatype: 'BYTES', shape: [-1] },
    ];
    const outputs: Tensor[] = [
      { name: 'Y', datatype: 'FP32', shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
      { name: 'S', datatype: 'BYTES', shape: [3], data: ['one', 'zwei', 'drei'] },
    ];
    const writer = new FrameWriter();
    writer.result(1, 3, 0.5, outputs, frameTensors(specs), 0, 1);
    writer.result(2, 3, 0.5, outputs, frameTensors(specs), 1, 3);
    const seen: Seen[] = [];
    collect(specs, seen).push(writer.written());
    expect(seen[0]).toMatchObject({ kind: FRAME.result, id: 1, rows: 3, value: 0.5 });
    expect(seen[0]!.tensors).toEqual([
      { name: 'Y', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) },
      { name: 'S', datatype: 'BYTES', shape: [1], data: ['one'] },
    ]);
    expect(seen[1]!.tensors).toEqual([
      { name: 'Y', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(3, 4, 5, 6) },
      { name: 'S', datatype: 'BYTES', shape: [2], data: ['zwei', 'drei'] },
    ]);
  });

  test('large tensors leave from where they lie, between frames of the block, and come out whole', async () => {
    const specs: TensorSpec[] = [
      { name: 'X', datatype: 'UINT8', shape: [-1] },
      { name: 'Y', datatype: 'FP32', shape: [-1] },
    ];
    // Lengths on both sides of what is left in place, and that are no multiples of 8.
    const lengths = [3, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 300_007];
    const calls = lengths.map((length): Tensor[] => [
      { name: 'X', datatype: 'UINT8', shape: [length], data: Uint8Array.from({ length }, (_, i) => i * 7) },
      { name: 'Y', datatype: 'FP32', shape: [length], data: Float32Array.from({ length }, (_, i) => i) },
    ]);
    const writer = new FrameWriter();
    const [from, to] = await connectedPair();
    const seen: Seen[] = [];
    const reader = collect(specs, seen);
    to.on('data', (chunk) => reader.push(chunk));
    for (const round of [1, 2]) {
      for (const [i, tensors] of calls.entries())
        writer.infer(round * 10 + i, lengths[i]!, 0, tensors, frameTensors(specs));
      // The one that is refused had a large tensor written already.
      const bad = [calls[4]![0]!, { ...calls[4]![1]!, shape: [1] }];
      expect(() => writer.infer(99, 1, 0, bad, frameTensors(specs))).toThrow(FrameError);
      writer.bare(FRAME.cancel, round);
      const size = writer.sizeBytes;
      expect(writer.written().length).toBe(size);
      writer.sendTo(from);
      expect(writer.sizeBytes).toBe(0);
    }
    from.end();
    await once(to, 'end');
    expect(seen.map(({ id }) => id)).toEqual([10, 11, 12, 13, 14, 1, 20, 21, 22, 23, 24, 2]);
    for (const { id, tensors } of seen) if (id >= 10) expect(tensors).toEqual(calls[id % 10]);
  });

  test('a call that cannot be written leaves the frames before it whole', () => {
    const specs: TensorSpec[] = [{ name: 'X', datatype: 'FP32', shape: [-1] }];
    const good: Tensor = { name: 'X', datatype: 'FP32', shape: [1], data: Float32Array.of(1) };
    const writer = new FrameWriter();
    writer.infer(1, 1, 0, [good], frameTensors(specs));
    const before = writer.written();
    const bad: Tensor[][] = [
      [],
      [{ ...good, name: 'Z' }],
      [good, { ...good, name: 'Z' }],
      [{ ...good, datatype: 'FP64' }],
      [{ ...good, data: Float64Array.of(1) }],
      [{ ...good, shape: [2] }],
      [{ ...good, shape: new Array(40).fill(1) }],
    ];
    for (const inputs of bad) expect(() => writer.infer(2, 1, 0, inputs, frameTensors(specs))).toThrow(FrameError);
    expect(writer.written()).toEqual(before);
    const text: TensorSpec[] = [{ name: 'S', datatype: 'BYTES', shape: [1] }];
    const half: Tensor = { name: 'S', datatype: 'BYTES', shape: [1], data: ['\ud800'] };
    expect(() => writer.infer(2, 1, 0, [half], frameTensors(text))).toThrow(/surrogate/);
  });
});

describe('bad frames', () => {
  const specs: TensorSpec[] = [
    { name: 'X', datatype: 'FP32', shape: [-1, 2] },
    { name: 'S', datatype: 'BYTES', shape: [-1] },
  ];
  const inputs: Tensor[] = [
    { name: 'X', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
    { name: 'S', datatype: 'BYTES', shape: [2], data: ['ab', 'cde'] },
  ];
  const good = (): Buffer => {
    const writer = new FrameWriter();
    writer.infer(1, 2, 0, inputs, frameTensors(specs));
    return writer.written();
  };
  const read = (bytes: Uint8Array, max?: number): Seen[] => {
    const seen: Seen[] = [];
    collect(specs, seen, max).push(bytes);
    return seen;
  };
  const X = HEADER_BYTES;
  const S = X + 16 + 16;

  test.each<[string, (frame: Buffer) => void]>([
    ['a size of 0', (f) => f.writeUInt32LE(0, 0)],
    ['a size that is no multiple of 8', (f) => f.writeUInt32LE(f.length + 1, 0)],
    ['a size of 4 GiB', (f) => f.writeUInt32LE(0xffff_fff8, 0)],
    ['an unknown kind', (f) => f.writeUInt8(99, 4)],
    ['something in the byte that is 0', (f) => f.writeUInt8(1, 5)],
    ['more tensors than it holds', (f) => f.writeUInt16LE(3, 6)],
    ['65,535 tensors', (f) => f.writeUInt16LE(0xffff, 6)],
    ['fewer tensors than it holds', (f) => f.writeUInt16LE(1, 6)],
    ['a tensor that the signature lacks', (f) => f.writeUInt16LE(7, X)],
    ['the same tensor twice', (f) => f.writeUInt16LE(0, S)],
    ['another datatype', (f) => f.writeUInt8(0, X + 2)],
    ['255 dimensions', (f) => f.writeUInt8(255, X + 3)],
    ['a rank that eats the data', (f) => f.writeUInt8(30, X + 3)],
    ['4 GiB of data', (f) => f.writeUInt32LE(0xffff_ffff, X + 4)],
    ['less data than its shape', (f) => f.writeUInt32LE(8, X + 4)],
    ['a dimension of 2^32 - 1', (f) => f.writeUInt32LE(0xffff_ffff, X + 8)],
    ['a shape whose product wraps around', (f) => f.fill(0xff, X + 8, X + 16)],
    ['4 G strings', (f) => f.writeUInt32LE(0xffff_ffff, S + 8)],
    ['a string of 4 GiB', (f) => f.writeUInt32LE(0xffff_ffff, S + 16)],
    ['strings that end early', (f) => f.writeUInt32LE(0, S + 16)],
  ])('%s is refused', (_, damage) => {
    const frame = good();
    expect(read(frame)).toHaveLength(1);
    damage(frame);
    expect(() => read(frame)).toThrow(FrameError);
  });

  test('a text longer than its frame, or no JSON, is refused', () => {
    const writer = new FrameWriter();
    writer.json(FRAME.fault, 1, { message: 'hello' });
    const frame = writer.written();
    frame.writeUInt32LE(5000, 12);
    expect(() => read(frame)).toThrow(FrameError);
    frame.writeUInt32LE(3, 12);
    expect(() => read(frame)).toThrow(/not JSON/);
  });

  test('a frame over the limit is refused before its bytes came', () => {
    const frame = good();
    expect(() => read(frame.subarray(0, HEADER_BYTES), 64)).toThrow(FrameError);
  });

  test('an announced size costs nothing until the bytes come', () => {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(256 * 1024 * 1024, 0);
    header.writeUInt8(FRAME.infer, 4);
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 20 }, () => collect(specs, []));
    for (const reader of readers) reader.push(header);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
  });

  test('any damage is either refused or read as some other call, and never anything else', () => {
    const frame = good();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (changes) => {
          const damaged = Buffer.from(frame);
          for (const [at, value] of changes) damaged[at] = value;
          try {
            read(damaged);
          } catch (error) {
            if (!(error instanceof FrameError)) throw error;
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});

test('frames lie at multiples of 8, where typed arrays can view them', () => {
  const writer = new FrameWriter();
  writer.json(FRAME.step, 0, { step: 'x' });
  writer.bare(FRAME.skipped, 1);
  const source = frameSource(writer.written());
  expect(source.bytes.length % 8).toBe(0);
  expect(source.u32[0]! % 8).toBe(0);
});
