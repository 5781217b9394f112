/** The columns of an Arrow stream: names and types, as far as tensors can be made of them. Numbers are those of Arrow's Schema.fbs. */
import { ArrowFault } from './arrow-fault.ts';
import type { FlatTable } from './flat-table.ts';

export type ArrowType =
  | { readonly kind: 'null' }
  | { readonly kind: 'int'; readonly bits: 8 | 16 | 32 | 64; readonly signed: boolean }
  | { readonly kind: 'float'; readonly bits: 16 | 32 | 64 }
  | { readonly kind: 'bool' }
  /** Strings, or bytes when `binary`. `view` is the form whose strings lie in several buffers. */
  | { readonly kind: 'text'; readonly binary: boolean; readonly form: 'small' | 'large' | 'view' }
  | { readonly kind: 'list'; readonly large: boolean; readonly item: ArrowField }
  | { readonly kind: 'fixedList'; readonly size: number; readonly item: ArrowField };

export type ArrowField = {
  readonly name: string;
  readonly type: ArrowType;
  /** Values are places in a dictionary of `type`. */
  readonly dictionary: { readonly id: string; readonly index: ArrowType & { kind: 'int' } } | null;
};

const MAX_NAME_BYTES = 1024;
/** Lists in lists; tensors have a handful of dimensions. */
const MAX_DEPTH = 10;
/** Children may be shared, so their number is not bound by the bytes of the message. */
const MAX_FIELDS = 200_000;

const TYPE_NAMES = [
  'none',
  'Null',
  'Int',
  'FloatingPoint',
  'Binary',
  'Utf8',
  'Bool',
  'Decimal',
  'Date',
  'Time',
  'Timestamp',
  'Interval',
  'List',
  'Struct',
  'Union',
  'FixedSizeBinary',
  'FixedSizeList',
  'Map',
  'Duration',
  'LargeBinary',
  'LargeUtf8',
  'LargeList',
  'RunEndEncoded',
  'BinaryView',
  'Utf8View',
  'ListView',
  'LargeListView',
];

/** @param schema the table Schema */
export function readSchema(schema: FlatTable): ArrowField[] {
  if (schema.int16(0) !== 0) throw new ArrowFault('is big-endian; write it on, or for, a little-endian machine');
  const budget = { fields: MAX_FIELDS };
  return schema.tables(1, MAX_FIELDS).map((field) => readField(field, 0, budget));
}

function readField(field: FlatTable, depth: number, budget: { fields: number }): ArrowField {
  budget.fields -= 1;
  if (budget.fields < 0) throw new ArrowFault(`has more than ${MAX_FIELDS} columns`);
  if (depth > MAX_DEPTH) throw new ArrowFault(`has lists nested deeper than ${MAX_DEPTH}`);
  const name = field.string(0, MAX_NAME_BYTES);
  const type = readType(field, name, depth, budget);
  const encoding = field.table(4);
  if (encoding === null) return { name, type, dictionary: null };
  if (type.kind === 'list' || type.kind === 'fixedList') throw unsupported(name, 'a dictionary of lists');
  const given = encoding.table(1);
  const index = given === null ? ({ kind: 'int', bits: 32, signed: true } as const) : readInt(given, name);
  return { name, type, dictionary: { id: `${encoding.size(0)}`, index } };
}

function readType(field: FlatTable, name: string, depth: number, budget: { fields: number }): ArrowType {
  const number = field.uint8(2);
  const details = field.table(3);
  const item = (): ArrowField => {
    const children = field.tables(5, 1);
    if (children.length !== 1) throw new ArrowFault(`has in column ${shown(name)} a list of ${children.length} types`);
    return readField(children[0]!, depth + 1, budget);
  };
  switch (TYPE_NAMES[number]) {
    case 'Null':
      return { kind: 'null' };
    case 'Int':
      return readInt(details, name);
    case 'FloatingPoint': {
      const bits = ([16, 32, 64] as const)[details?.int16(0) ?? 0];
      if (bits === undefined) throw unsupported(name, 'a float of unknown size');
      return { kind: 'float', bits };
    }
    case 'Bool':
      return { kind: 'bool' };
    case 'Utf8':
      return { kind: 'text', binary: false, form: 'small' };
    case 'LargeUtf8':
      return { kind: 'text', binary: false, form: 'large' };
    case 'Utf8View':
      return { kind: 'text', binary: false, form: 'view' };
    case 'Binary':
      return { kind: 'text', binary: true, form: 'small' };
    case 'LargeBinary':
      return { kind: 'text', binary: true, form: 'large' };
    case 'BinaryView':
      return { kind: 'text', binary: true, form: 'view' };
    case 'List':
      return { kind: 'list', large: false, item: item() };
    case 'LargeList':
      return { kind: 'list', large: true, item: item() };
    case 'FixedSizeList': {
      const size = details?.int32(0) ?? 0;
      if (size < 1) throw new ArrowFault(`has in column ${shown(name)} lists of ${size} items`);
      return { kind: 'fixedList', size, item: item() };
    }
    default:
      throw unsupported(name, TYPE_NAMES[number] ?? `type ${number}`);
  }
}

function readInt(details: FlatTable | null, name: string): ArrowType & { kind: 'int' } {
  const bits = details?.int32(0) ?? 0;
  if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64) throw unsupported(name, `an integer of ${bits} bits`);
  return { kind: 'int', bits, signed: details!.uint8(1) !== 0 };
}

function unsupported(name: string, what: string): ArrowFault {
  return new ArrowFault(
    `has in column ${shown(name)} ${what}, of which no tensor is made; cast it to numbers, booleans or strings`,
  );
}

export function shown(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
