/** Universal Binary JSON (draft 12, ubjson.org), as far as XGBoost writes it: big-endian, with typed and counted containers. */
import { BoosterFault } from './booster.ts';

const MOST_DEPTH = 64;

/** By type letter: bytes of one number, and how it is read. */
const NUMBERS: Readonly<Record<string, readonly [number, (view: DataView, at: number) => number]>> = {
  i: [1, (view, at) => view.getInt8(at)],
  U: [1, (view, at) => view.getUint8(at)],
  I: [2, (view, at) => view.getInt16(at)],
  l: [4, (view, at) => view.getInt32(at)],
  L: [8, (view, at) => Number(view.getBigInt64(at))],
  d: [4, (view, at) => view.getFloat32(at)],
  D: [8, (view, at) => view.getFloat64(at)],
};

/** @throws BoosterFault */
export function parseUbjson(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let at = 0;

  const value = read(letter(), 0);
  if (at !== bytes.length) throw fault('something follows its end');
  return value;

  function read(type: string, depth: number): unknown {
    if (depth > MOST_DEPTH) throw fault('it is nested too deeply');
    const number = NUMBERS[type];
    if (number !== undefined) return take(number);
    switch (type) {
      case 'Z':
        return null;
      case 'T':
        return true;
      case 'F':
        return false;
      case 'C':
        return String.fromCharCode(view.getUint8(advance(1)));
      case 'S':
        return text();
      case '[':
        return list(depth);
      case '{':
        return object(depth);
      default:
        throw fault(`the type ${JSON.stringify(type)} is unknown`);
    }
  }

  function list(depth: number): unknown[] {
    const { type, count } = head();
    const found: unknown[] = [];
    if (type !== null && NUMBERS[type] !== undefined) {
      const number = NUMBERS[type]!;
      if (count! * number[0] > bytes.length - at) throw fault('a list is longer than the file');
      for (let i = 0; i < count!; i++) found.push(take(number));
      return found;
    }
    if (count !== null) {
      if (count > bytes.length - at) throw fault('a list is longer than the file');
      for (let i = 0; i < count; i++) found.push(read(type ?? letter(), depth + 1));
      return found;
    }
    while (!ends(']')) found.push(read(letter(), depth + 1));
    return found;
  }

  function object(depth: number): Record<string, unknown> {
    const { type, count } = head();
    const found: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
    for (let i = 0; count === null ? !ends('}') : i < count; i++) found[text()] = read(type ?? letter(), depth + 1);
    return found;
  }

  /** The type and the count that a container may say of its elements. */
  function head(): { type: string | null; count: number | null } {
    let type: string | null = null;
    if (peek() === '$') {
      at++;
      type = letter();
      if (peek() !== '#') throw fault('a list has a type and no length');
    }
    if (peek() !== '#') return { type, count: null };
    at++;
    return { type, count: length() };
  }

  function length(): number {
    const number = NUMBERS[letter()];
    const size = number === undefined ? -1 : take(number);
    if (!(Number.isInteger(size) && size >= 0)) throw fault('a length is none');
    return size;
  }

  function text(): string {
    const size = length();
    const from = advance(size);
    try {
      return decoder.decode(bytes.subarray(from, from + size));
    } catch {
      throw fault('a text is not UTF-8');
    }
  }

  function take([size, get]: readonly [number, (view: DataView, at: number) => number]): number {
    return get(view, advance(size));
  }

  function ends(closing: string): boolean {
    if (peek() !== closing) return false;
    at++;
    return true;
  }

  function peek(): string {
    if (at >= bytes.length) throw fault('it ends too early');
    return String.fromCharCode(bytes[at]!);
  }

  function letter(): string {
    const found = peek();
    at++;
    return found;
  }

  function advance(size: number): number {
    if (size > bytes.length - at) throw fault('it ends too early');
    const from = at;
    at += size;
    return from;
  }

  function fault(message: string): BoosterFault {
    return new BoosterFault('invalid', `${message} (at byte ${at} of ${bytes.length})`);
  }
}
