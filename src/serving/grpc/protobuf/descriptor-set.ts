/** Reads a google.protobuf.FileDescriptorSet: as much of it as codec and reflection need. */
import { ProtobufReader } from './reader.ts';

export type FieldType = {
  readonly name: string;
  readonly number: number;
  /** google.protobuf.FieldDescriptorProto.Type, such as 9 for a string. */
  readonly type: number;
  readonly repeated: boolean;
  /** Full name, without the leading dot, of a message or enum. */
  readonly typeName: string;
  readonly inOneof: boolean;
};

export type MessageType = {
  readonly fullName: string;
  readonly fields: readonly FieldType[];
  /** Whether it is the entry of a map: key 1, value 2. */
  readonly isMapEntry: boolean;
};

export type EnumType = { readonly fullName: string; readonly numbers: ReadonlyMap<string, number> };

export type ServiceType = { readonly fullName: string; readonly methods: readonly MethodType[] };

export type MethodType = {
  readonly name: string;
  readonly input: string;
  readonly output: string;
  readonly clientStreams: boolean;
  readonly serverStreams: boolean;
};

export type FileType = {
  readonly name: string;
  readonly dependencies: readonly string[];
  readonly messages: readonly MessageType[];
  readonly enums: readonly EnumType[];
  readonly services: readonly ServiceType[];
  /** Its FileDescriptorProto. */
  readonly bytes: Buffer;
};

const REPEATED = 3;

export function readDescriptorSet(bytes: Buffer): FileType[] {
  const files: FileType[] = [];
  const reader = new ProtobufReader();
  reader.start(bytes);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) files.push(readFile(reader.view()));
    else reader.skip(tag);
  }
  return files;
}

/** Calls `take` for each field; it reads the field, or returns false to have it passed over. */
function eachField(reader: ProtobufReader, take: (number: number) => unknown): void {
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) if (take(tag >>> 3) === false) reader.skip(tag);
}

function inside(reader: ProtobufReader, read: () => void): void {
  const outer = reader.open();
  read();
  reader.close(outer);
}

function readFile(bytes: Buffer): FileType {
  const reader = new ProtobufReader();
  reader.start(bytes);
  let name = '';
  let inPackage = '';
  const dependencies: string[] = [];
  const messages: MessageType[] = [];
  const enums: EnumType[] = [];
  const services: ServiceType[] = [];
  eachField(reader, (number) => {
    switch (number) {
      case 1:
        name = reader.text();
        return;
      case 2:
        inPackage = `${reader.text()}.`;
        return;
      case 3:
        dependencies.push(reader.text());
        return;
      case 4:
        return inside(reader, () => readMessage(reader, inPackage, messages, enums));
      case 5:
        return inside(reader, () => enums.push(readEnum(reader, inPackage)));
      case 6:
        return inside(reader, () => services.push(readService(reader, inPackage)));
      default:
        return false;
    }
  });
  return { name, dependencies, messages, enums, services, bytes };
}

function readMessage(reader: ProtobufReader, prefix: string, messages: MessageType[], enums: EnumType[]): void {
  let fullName = '';
  let isMapEntry = false;
  const fields: FieldType[] = [];
  eachField(reader, (number) => {
    switch (number) {
      case 1:
        fullName = prefix + reader.text();
        return;
      case 2:
        return inside(reader, () => fields.push(readField(reader)));
      case 3:
        return inside(reader, () => readMessage(reader, `${fullName}.`, messages, enums));
      case 4:
        return inside(reader, () => enums.push(readEnum(reader, `${fullName}.`)));
      case 7:
        return inside(reader, () =>
          eachField(reader, (option) => {
            if (option !== 7) return false;
            isMapEntry = reader.bool();
            return;
          }),
        );
      default:
        return false;
    }
  });
  messages.push({ fullName, fields, isMapEntry });
}

function readField(reader: ProtobufReader): FieldType {
  let name = '';
  let number = 0;
  let label = 0;
  let type = 0;
  let typeName = '';
  let inOneof = false;
  eachField(reader, (field) => {
    if (field === 1) name = reader.text();
    else if (field === 3) number = reader.uint32();
    else if (field === 4) label = reader.uint32();
    else if (field === 5) type = reader.uint32();
    else if (field === 6) typeName = reader.text().slice(1);
    else if (field === 9) {
      reader.uint32();
      inOneof = true;
    } else return false;
    return;
  });
  return { name, number, type, repeated: label === REPEATED, typeName, inOneof };
}

function readEnum(reader: ProtobufReader, prefix: string): EnumType {
  let fullName = '';
  const numbers = new Map<string, number>();
  eachField(reader, (number) => {
    if (number === 1) fullName = prefix + reader.text();
    else if (number === 2) {
      let name = '';
      let value = 0;
      inside(reader, () =>
        eachField(reader, (field) => {
          if (field === 1) name = reader.text();
          else if (field === 2) value = reader.int32();
          else return false;
          return;
        }),
      );
      numbers.set(name, value);
    } else return false;
    return;
  });
  return { fullName, numbers };
}

function readService(reader: ProtobufReader, prefix: string): ServiceType {
  let fullName = '';
  const methods: MethodType[] = [];
  eachField(reader, (number) => {
    if (number === 1) fullName = prefix + reader.text();
    else if (number === 2) inside(reader, () => methods.push(readMethod(reader)));
    else return false;
    return;
  });
  return { fullName, methods };
}

function readMethod(reader: ProtobufReader): MethodType {
  let name = '';
  let input = '';
  let output = '';
  let clientStreams = false;
  let serverStreams = false;
  eachField(reader, (field) => {
    if (field === 1) name = reader.text();
    else if (field === 2) input = reader.text().slice(1);
    else if (field === 3) output = reader.text().slice(1);
    else if (field === 5) clientStreams = reader.bool();
    else if (field === 6) serverStreams = reader.bool();
    else return false;
    return;
  });
  return { name, input, output, clientStreams, serverStreams };
}
