/**
 * Reads Arrow IPC streams (the columnar format's "Encapsulated message format") of strangers. Nothing is allocated by a number that the
 * stream names before that number was compared with the bytes that are there.
 */

import { type ArrowChunk, type Budget, ColumnReader } from './arrow-columns.ts';
import { ArrowFault } from './arrow-fault.ts';
import { type ArrowField, readSchema } from './arrow-schema.ts';
import { FlatTable } from './flat-table.ts';

export type ArrowBatch = {
  readonly rows: number;
  /** In the order of the fields. */
  readonly columns: readonly ArrowChunk[];
};

const SCHEMA = 1;
const DICTIONARY_BATCH = 2;
const RECORD_BATCH = 3;
/** MetadataVersion V4 and V5, in use since 2016. */
const VERSIONS = [3, 4];
/** Values made of one byte of the stream cost up to eight; strings may be named again and again. */
const FREE_CELLS = 1024 * 1024;
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/**
 * @param onSchema told the columns before any of their values is read; what it throws ends the reading
 * @throws ArrowFault
 */
export function readArrowStream(bytes: Uint8Array, onSchema: (fields: readonly ArrowField[]) => void): ArrowBatch[] {
  try {
    return readMessages(bytes, onSchema);
  } catch (error) {
    // A place outside its message: DataView and typed arrays say so.
    if (error instanceof RangeError) throw new ArrowFault('is damaged: a message names places outside itself');
    throw error;
  }
}

function readMessages(bytes: Uint8Array, onSchema: (fields: readonly ArrowField[]) => void): ArrowBatch[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const batches: ArrowBatch[] = [];
  const budget: Budget = {
    cells: Math.max(FREE_CELLS, bytes.length),
    textBytes: Math.max(FREE_CELLS, Math.min(MAX_TEXT_BYTES, bytes.length * 16)),
  };
  let fields: ArrowField[] | null = null;
  const dictionaries = new Map<string, ArrowChunk>();
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 8) throw new ArrowFault('ends in the middle of a message');
    if (view.getInt32(at, true) !== -1) throw noMessage(bytes, at);
    const metaBytes = view.getInt32(at + 4, true);
    if (metaBytes === 0) {
      if (at + 8 !== bytes.length) throw new ArrowFault(`goes on after its end, at byte ${at + 8}`);
      break;
    }
    const metaStart = at + 8;
    if (metaBytes < 0 || metaBytes > bytes.length - metaStart) throw new ArrowFault('ends in the middle of a message');
    const message = FlatTable.root(new DataView(bytes.buffer, bytes.byteOffset + metaStart, metaBytes));
    if (!VERSIONS.includes(message.int16(0))) throw new ArrowFault('is of a version of Arrow that is not in use');
    const bodyStart = metaStart + metaBytes;
    const bodyBytes = message.size(3);
    if (bodyBytes > bytes.length - bodyStart) throw new ArrowFault('ends in the middle of a message');
    const body = bytes.subarray(bodyStart, bodyStart + bodyBytes);
    at = bodyStart + bodyBytes;
    const header = message.table(2);
    const kind = message.uint8(1);
    if (header === null) throw new ArrowFault('has a message without content');
    if (kind === SCHEMA) {
      if (fields !== null) throw new ArrowFault('has two schemas');
      fields = readSchema(header);
      onSchema(fields);
    } else if (fields === null) throw new ArrowFault('does not begin with a schema');
    else if (kind === RECORD_BATCH) batches.push(readBatch(header, body, fields, dictionaries, budget));
    else if (kind === DICTIONARY_BATCH) readDictionary(header, body, fields, dictionaries, budget);
    else throw new ArrowFault('has a message that is neither schema nor table');
  }
  if (fields === null) throw new ArrowFault('is empty');
  return batches;
}

function readBatch(
  header: FlatTable,
  body: Uint8Array,
  fields: readonly ArrowField[],
  dictionaries: ReadonlyMap<string, ArrowChunk>,
  budget: Budget,
): ArrowBatch {
  const rows = header.size(0);
  const reader = new ColumnReader(header, body, dictionaries, budget);
  const columns = fields.map((field) => reader.column(field, rows));
  reader.end();
  return { rows, columns };
}

function readDictionary(
  header: FlatTable,
  body: Uint8Array,
  fields: readonly ArrowField[],
  dictionaries: Map<string, ArrowChunk>,
  budget: Budget,
): void {
  const id = `${header.size(0)}`;
  const field = fields.find((one) => one.dictionary?.id === id);
  const data = header.table(1);
  if (field === undefined || data === null) throw new ArrowFault('has a dictionary that no column uses');
  const reader = new ColumnReader(data, body, dictionaries, budget);
  const read = reader.column({ ...field, dictionary: null }, data.size(0));
  reader.end();
  const before = dictionaries.get(id);
  const isDelta = header.uint8(2) !== 0;
  dictionaries.set(id, isDelta && before !== undefined ? joined(before, read, budget) : read);
}

/** A dictionary that grows. Each time costs all of it, so each time counts. */
function joined(before: ArrowChunk, more: ArrowChunk, budget: Budget): ArrowChunk {
  budget.cells -= before.values.length + more.values.length;
  if (budget.cells < 0) throw new ArrowFault('has dictionaries that unfold to too many values');
  const values: unknown[] = [];
  for (const chunk of [before, more]) for (let i = 0; i < chunk.values.length; i++) values.push(chunk.values[i]);
  const isNull = (at: number): boolean =>
    at < before.values.length ? before.isNull?.(at) === true : more.isNull?.(at - before.values.length) === true;
  return { dims: [], values, isNull: before.isNull === null && more.isNull === null ? null : isNull };
}

function noMessage(bytes: Uint8Array, at: number): ArrowFault {
  const head = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + at, Math.min(6, bytes.length - at)).toString(
    'latin1',
  );
  if (at === 0 && head === 'ARROW1') {
    return new ArrowFault('is an Arrow file (Feather), not a stream; write it with pyarrow.ipc.new_stream');
  }
  return new ArrowFault(at === 0 ? 'is no Arrow stream' : `has no message at byte ${at}`);
}
