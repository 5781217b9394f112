/** grpc.reflection: lets clients such as grpcurl ask for the .proto files. They are public, like the documentation. */
import type { GrpcCall, Method } from './grpc-call.ts';
import { STATUS } from './grpc-status.ts';
import { frameMessage } from './message-frame.ts';
import { decode } from './model-service.ts';
import type { FileType } from './protobuf/descriptor-set.ts';
import type { Message, MessageCodec } from './protobuf/message-codec.ts';

/** The service under its name, and under its first one, which older clients still ask for. */
const PACKAGES = ['grpc.reflection.v1', 'grpc.reflection.v1alpha'];

export function createReflectionService(files: readonly FileType[], codec: MessageCodec): readonly Method[] {
  const services = files.flatMap((file) => file.services.map((service) => service.fullName)).sort();
  const byName = new Map(files.map((file) => [file.name, file]));
  const bySymbol = new Map(files.flatMap((file) => symbolsOf(file).map((symbol) => [symbol, file])));

  /** A file and all that it imports. */
  const withImports = (file: FileType, seen = new Set<FileType>()): Set<FileType> => {
    seen.add(file);
    for (const name of file.dependencies) {
      const dependency = byName.get(name);
      if (dependency !== undefined && !seen.has(dependency)) withImports(dependency, seen);
    }
    return seen;
  };

  const fileAnswer = (file: FileType | undefined, asked: string): Message =>
    file === undefined
      ? notFound(asked)
      : { file_descriptor_response: { file_descriptor_proto: [...withImports(file)].map((one) => one.bytes) } };

  const answer = (request: Message): Message => {
    const { file_by_filename: name, file_containing_symbol: symbol, list_services: list } = request;
    const type = request['all_extension_numbers_of_type'];
    if (typeof list === 'string')
      return { list_services_response: { service: services.map((one) => ({ name: one })) } };
    if (typeof name === 'string') return fileAnswer(byName.get(name), name);
    if (typeof symbol === 'string') return fileAnswer(bySymbol.get(symbol), symbol);
    if (typeof type === 'string') {
      return bySymbol.has(type) ? { all_extension_numbers_response: { base_type_name: type } } : notFound(type);
    }
    if (request['file_containing_extension'] !== undefined) return notFound('an extension');
    return { error_response: { error_code: STATUS.invalidArgument, error_message: 'The request asks for nothing' } };
  };

  return PACKAGES.map((inPackage) => ({
    kind: 'streaming' as const,
    path: `/${inPackage}.ServerReflection/ServerReflectionInfo`,
    admit: () => {},
    open: (call: GrpcCall) => ({
      message(bytes: Buffer) {
        const request = decode(codec, `${inPackage}.ServerReflectionRequest`, bytes);
        const response = { valid_host: request['host'], original_request: request, ...answer(request) };
        const said = codec.encode(`${inPackage}.ServerReflectionResponse`, response);
        call.send(frameMessage(said));
      },
      end: () => call.finish(),
    }),
  }));
}

function notFound(asked: string): Message {
  return { error_response: { error_code: STATUS.notFound, error_message: `There is no ${asked} here` } };
}

/** Names of everything in a file: messages, enums, services and methods, fields. */
function symbolsOf(file: FileType): string[] {
  return [
    ...file.messages.flatMap((one) => [one.fullName, ...one.fields.map((field) => `${one.fullName}.${field.name}`)]),
    ...file.enums.map((one) => one.fullName),
    ...file.services.flatMap((one) => [one.fullName, ...one.methods.map((method) => `${one.fullName}.${method.name}`)]),
  ];
}
