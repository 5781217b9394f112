/**
 * Messages as plain objects, both ways, by the tables of a descriptor set. For everything but the hot path. Fields have the names of
 * their .proto files; absent ones are left out; 64-bit integers are numbers where these are exact, else BigInt; bytes are views.
 */
import type { EnumType, FieldType, FileType, MessageType } from './descriptor-set.ts';
import { ProtobufFault, ProtobufReader, WIRE } from './reader.ts';
import { ProtobufWriter } from './writer.ts';

export type Message = { readonly [field: string]: unknown };

export type MessageCodec = {
  /** @throws ProtobufFault */
  decode(type: string, bytes: Buffer): Message;
  /** @throws Error for a field that the message does not have: a mistake of ours */
  encode(type: string, message: Message): Buffer;
};

/** google.protobuf.FieldDescriptorProto.Type, as far as it is used here. */
const TYPE = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  bool: 8,
  string: 9,
  message: 11,
  bytes: 12,
  uint32: 13,
  enum: 14,
};

export function createMessageCodec(files: readonly FileType[]): MessageCodec {
  const messages = new Map<string, MessageType>();
  const enums = new Map<string, EnumType>();
  for (const file of files) {
    for (const message of file.messages) messages.set(message.fullName, message);
    for (const one of file.enums) enums.set(one.fullName, one);
  }
  const messageOf = (name: string): MessageType => {
    const found = messages.get(name);
    if (found === undefined) throw new Error(`there is no message ${name}`);
    return found;
  };

  const readMessage = (reader: ProtobufReader, type: MessageType): Record<string, unknown> => {
    const message: Record<string, unknown> = {};
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = type.fields.find((one) => one.number === tag >>> 3);
      if (field === undefined) reader.skip(tag);
      else if (field.repeated) readRepeated(reader, tag, field, message);
      else {
        if ((tag & 7) !== wireOf(field.type)) reader.wrongType(tag);
        message[field.name] = readValue(reader, field);
      }
    }
    return message;
  };

  const readRepeated = (
    reader: ProtobufReader,
    tag: number,
    field: FieldType,
    message: Record<string, unknown>,
  ): void => {
    const entry = field.type === TYPE.message ? messageOf(field.typeName) : null;
    const wire = wireOf(field.type);
    if (entry?.isMapEntry === true) {
      if ((tag & 7) !== WIRE.bytes) reader.wrongType(tag);
      const { key, value } = readValue(reader, field) as { key?: unknown; value?: unknown };
      message[field.name] ??= Object.create(null);
      const valueField = entry.fields.find((one) => one.number === 2)!;
      (message[field.name] as Record<string, unknown>)[`${key ?? ''}`] = value ?? defaultOf(valueField);
      return;
    }
    message[field.name] ??= [];
    const values = message[field.name] as unknown[];
    if ((tag & 7) === wire) values.push(readValue(reader, field));
    else if ((tag & 7) === WIRE.bytes) {
      const outer = reader.open();
      while (reader.at < reader.end) values.push(readValue(reader, field));
      reader.close(outer);
    } else reader.wrongType(tag);
  };

  const readValue = (reader: ProtobufReader, field: FieldType): unknown => {
    switch (field.type) {
      case TYPE.double:
        return reader.double();
      case TYPE.float:
        return reader.float();
      case TYPE.int64:
        return exact(reader.int64());
      case TYPE.uint64:
        return exact(reader.uint64());
      case TYPE.int32:
      case TYPE.enum:
        return reader.int32();
      case TYPE.bool:
        return reader.bool();
      case TYPE.string:
        return reader.text();
      case TYPE.bytes:
        return reader.view();
      case TYPE.uint32:
        return reader.uint32();
      default: {
        const outer = reader.open();
        const message = readMessage(reader, messageOf(field.typeName));
        reader.close(outer);
        return message;
      }
    }
  };

  const writeMessage = (writer: ProtobufWriter, type: MessageType, message: Message): void => {
    for (const name of Object.keys(message)) {
      if (message[name] !== undefined && !type.fields.some((field) => field.name === name)) {
        throw new Error(`${type.fullName} has no field ${name}`);
      }
    }
    for (const field of type.fields) {
      const value = message[field.name];
      if (value === undefined || value === null) continue;
      if (!field.repeated) {
        if (!field.inOneof && value === defaultOf(field)) continue;
        writeValue(writer, field, value);
      } else if (Array.isArray(value)) writeList(writer, field, value);
      else {
        for (const [key, one] of Object.entries(value))
          writeValue(writer, field, { key: keyOf(field, key), value: one });
      }
    }
  };

  /** Keys of objects are texts; those of maps may be numbers. */
  const keyOf = (field: FieldType, key: string): unknown => {
    const { type } = messageOf(field.typeName).fields.find((one) => one.number === 1)!;
    return type === TYPE.string ? key : BigInt(key);
  };

  const writeList = (writer: ProtobufWriter, field: FieldType, values: readonly unknown[]): void => {
    if (wireOf(field.type) === WIRE.bytes) for (const one of values) writeValue(writer, field, one);
    else if (values.length > 0) {
      const packed = new ProtobufWriter();
      for (const one of values) writeScalar(packed, field, one);
      writer.tag(field.number, WIRE.bytes);
      writer.lengthAndBytes(packed.finish());
    }
  };

  const writeValue = (writer: ProtobufWriter, field: FieldType, value: unknown): void => {
    writer.tag(field.number, wireOf(field.type));
    if (field.type !== TYPE.message) {
      writeScalar(writer, field, value);
      return;
    }
    const inner = new ProtobufWriter();
    writeMessage(inner, messageOf(field.typeName), value as Message);
    writer.lengthAndBytes(inner.finish());
  };

  const writeScalar = (writer: ProtobufWriter, field: FieldType, value: unknown): void => {
    switch (field.type) {
      case TYPE.double:
        writer.double(value as number);
        return;
      case TYPE.float:
        writer.float(value as number);
        return;
      case TYPE.bool:
        writer.varint32(value === true ? 1 : 0);
        return;
      case TYPE.string:
        writer.lengthAndBytes(Buffer.from(value as string));
        return;
      case TYPE.bytes:
        writer.lengthAndBytes(value as Uint8Array);
        return;
      case TYPE.enum:
        writer.varint64(BigInt(typeof value === 'number' ? value : enumNumber(field, value as string)));
        return;
      default:
        writer.varint64(BigInt(value as number | bigint));
        return;
    }
  };

  const enumNumber = (field: FieldType, name: string): number => {
    const number = enums.get(field.typeName)?.numbers.get(name);
    if (number === undefined) throw new Error(`${field.typeName} has no value ${name}`);
    return number;
  };

  return {
    decode(type, bytes) {
      const reader = new ProtobufReader();
      reader.start(bytes);
      try {
        return readMessage(reader, messageOf(type));
      } catch (error) {
        if (!(error instanceof ProtobufFault)) throw error;
        throw new ProtobufFault(`The message is no ${type.split('.').at(-1)}: ${error.message}`);
      }
    },
    encode(type, message) {
      const writer = new ProtobufWriter();
      writeMessage(writer, messageOf(type), message);
      return writer.finish();
    },
  };
}

function wireOf(type: number): number {
  if (type === TYPE.double) return WIRE.fixed64;
  if (type === TYPE.float) return WIRE.fixed32;
  return type === TYPE.string || type === TYPE.bytes || type === TYPE.message ? WIRE.bytes : WIRE.varint;
}

/** What an absent field means; undefined for messages. */
function defaultOf({ type }: FieldType): unknown {
  if (type === TYPE.message) return undefined;
  if (type === TYPE.string) return '';
  if (type === TYPE.bool) return false;
  return type === TYPE.bytes ? undefined : 0;
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
