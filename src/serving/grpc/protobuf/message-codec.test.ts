/** The codec of the rare messages, held against a reference codec by the same .proto files, both ways. Failures print their seed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadProtos } from '../../../../test/fixtures/grpc-client.ts';
import { DESCRIPTOR_SET } from '../descriptors.ts';
import { readDescriptorSet } from './descriptor-set.ts';
import { createMessageCodec } from './message-codec.ts';
import { ProtobufFault } from './reader.ts';

const root = loadProtos();
const files = readDescriptorSet(Buffer.from(DESCRIPTOR_SET, 'base64'));
const codec = createMessageCodec(files);
const text = fc.string({ unit: 'binary', maxLength: 20 }).map((given) => given.toWellFormed());
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const duration = fc.record({ count: uint64, ns: uint64 }, { noNullPrototype: true });

const MESSAGES: readonly (readonly [string, fc.Arbitrary<object>])[] = [
  ['inference.ServerMetadataResponse', fc.record({ name: text, version: text, extensions: fc.array(text) })],
  [
    'inference.ModelMetadataResponse',
    fc.record({
      name: text,
      inputs: fc.array(fc.record({ name: text, datatype: text, shape: fc.array(int64) }), { maxLength: 3 }),
    }),
  ],
  [
    'inference.ModelConfigResponse',
    fc.record({
      config: fc.record({
        max_batch_size: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        input: fc.array(
          fc.record({ name: text, data_type: fc.nat(14), dims: fc.array(int64), optional: fc.boolean() }),
          { maxLength: 3 },
        ),
        dynamic_batching: fc.record({ preferred_batch_size: fc.array(fc.nat()), max_queue_delay_microseconds: uint64 }),
        parameters: fc.dictionary(text, fc.record({ string_value: text }), { maxKeys: 3, noNullPrototype: true }),
      }),
    }),
  ],
  [
    'inference.ModelStatisticsResponse',
    fc.record({
      model_stats: fc.array(
        fc.record({
          last_inference: uint64,
          inference_stats: fc.record({ success: duration, queue: duration }),
          batch_stats: fc.array(fc.record({ batch_size: uint64, compute_infer: duration }), { maxLength: 2 }),
        }),
        { maxLength: 2 },
      ),
    }),
  ],
  ['grpc.health.v1.HealthCheckResponse', fc.record({ status: fc.nat(3) })],
  [
    'inference.RepositoryModelLoadRequest',
    fc.record({
      model_name: text,
      parameters: fc.dictionary(
        text,
        fc.oneof(fc.record({ bool_param: fc.boolean() }), fc.record({ int64_param: int64 })),
        { maxKeys: 3, noNullPrototype: true },
      ),
    }),
  ],
];

/** The one form in which both codecs' objects are the same: no defaults, integers as text, plain arrays. */
function plain(value: unknown, numbers = true): unknown {
  if (typeof value === 'bigint' || (numbers && typeof value === 'number')) return `${value}`;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map((one) => plain(one, numbers));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner, numbers)]));
}

/** BigInt as the text that the reference codec takes. */
const forReference = (value: unknown): object => plain(value, false) as object;

describe.each(MESSAGES)('%s', (name, messages) => {
  const type = root.lookupType(name);
  const said = (bytes: Uint8Array) => type.toObject(type.decode(bytes), { longs: String });

  test('is written so that the reference codec reads the same', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const reference = type.encode(type.fromObject(forReference(message))).finish();
        expect(plain(said(codec.encode(name, message as never)))).toEqual(plain(said(reference)));
      }),
      { numRuns: 150 },
    );
  });

  test('is read as the reference codec wrote it', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = Buffer.from(type.encode(type.fromObject(forReference(message))).finish());
        // The reference writes defaults that were set; the second writing leaves them out on both sides.
        const read = codec.decode(name, bytes);
        expect(plain(said(codec.encode(name, read)))).toEqual(plain(said(codec.encode(name, message as never))));
      }),
      { numRuns: 150 },
    );
  });

  test('damaged, is read or refused, never anything else', () => {
    fc.assert(
      fc.property(
        messages,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (message, edits) => {
          const bytes = codec.encode(name, message as never);
          for (const [at, byte] of edits) if (bytes.length > 0) bytes[at % bytes.length] = byte;
          try {
            codec.decode(name, bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtobufFault);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

test('A field that a message does not have is a mistake that shows', () => {
  expect(() => codec.encode('inference.ServerLiveResponse', { alive: true })).toThrow(/no field alive/);
  expect(() => codec.encode('inference.ModelConfig', { input: [{ data_type: 'TYPE_NONE' }] })).toThrow(
    /no value TYPE_NONE/,
  );
});

test('The descriptors hold every message, enum and service of the .proto files', () => {
  const names = files.flatMap((file) => [...file.messages, ...file.enums, ...file.services].map((one) => one.fullName));
  for (const name of ['inference.ModelInferRequest.InferInputTensor', 'inference.DataType', 'grpc.health.v1.Health']) {
    expect(names).toContain(name);
  }
  for (const message of files.flatMap((file) => file.messages).filter((one) => !one.isMapEntry)) {
    const reference = root.lookupType(message.fullName);
    const numbers = Object.fromEntries(message.fields.map((field) => [field.name, field.number]));
    expect(numbers, message.fullName).toEqual(
      Object.fromEntries(reference.fieldsArray.map((field) => [field.name, field.id])),
    );
  }
});
