/**
 * Reads what a pickle would make, by its opcodes only: nothing it names is looked up, imported or called. A call becomes a note of what would be called
 * with what. Arrays that joblib lays between the opcodes are skipped or kept as bytes.
 * The opcodes: Lib/pickletools.py of CPython 3.14, protocols 0 to 5; the arrays: joblib/numpy_pickle.py 1.5.
 */

import { dtypeOf, Global, Made, StoredArray } from './pickle-values.ts';

/** A file that is no whole pickle. */
export class PickleFault extends Error {}

/** One with more in it than is kept of a file that nobody trusts yet. */
export class LongPickle extends PickleFault {}

export type Pickle = {
  readonly root: unknown;
  /** Every name that would be imported, in the order of the file. */
  readonly globals: readonly string[];
};

/** Each may make an object of some 200 bytes here. */
const MOST_STEPS = 2_000_000;
const MOST_NESTED = 32;
const MARK = Symbol('mark');
const JOBLIB_ARRAY = 'joblib.numpy_pickle.NumpyArrayWrapper';
const ITEM_BYTES = /^[<>|=]?[biufcSV?](\d*)$/;

/** @throws PickleFault */
export function readPickle(bytes: Uint8Array): Pickle {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const globals = new Set<string>();
  let at = 0;
  let steps = 0;

  const root = readOne(0);
  return { root, globals: [...globals] };

  function readOne(nested: number): unknown {
    if (nested > MOST_NESTED) throw new PickleFault('it is nested too deeply');
    const stack: unknown[] = [];
    const memo = new Map<number, unknown>();
    const pop = (): unknown => {
      if (stack.length === 0 || stack.at(-1) === MARK) throw new PickleFault('it takes something that is not there');
      return stack.pop();
    };
    const popMark = (): unknown[] => {
      const from = stack.lastIndexOf(MARK);
      if (from < 0) throw new PickleFault('it lacks a mark');
      const found = stack.splice(from);
      found.shift();
      return found;
    };
    const top = (): unknown => {
      if (stack.length === 0) throw new PickleFault('it takes something that is not there');
      return stack.at(-1);
    };
    const recall = (key: number): void => {
      if (!memo.has(key)) throw new PickleFault('it recalls what it did not keep');
      stack.push(memo.get(key));
    };
    const global = (module: unknown, name: unknown): void => {
      const full = `${String(module)}.${String(name)}`.slice(0, 300);
      globals.add(full);
      stack.push(new Global(full));
    };
    const put = (target: unknown, pairs: readonly unknown[]): void => {
      if (target instanceof Map) for (let i = 0; i + 1 < pairs.length; i += 2) target.set(pairs[i], pairs[i + 1]);
      else if (target instanceof Made) target.items.push(...pairs);
    };
    const append = (target: unknown, items: readonly unknown[]): void => {
      const list = Array.isArray(target) ? target : target instanceof Made ? target.items : [];
      for (const item of items) list.push(item);
    };

    for (;;) {
      if (++steps > MOST_STEPS) throw new LongPickle('it has more steps than are looked at');
      const op = String.fromCharCode(u8());
      switch (op) {
        case '.':
          return pop();
        case '\x80':
          skip(1);
          break;
        case '\x95':
          skip(8);
          break;
        case '(':
          stack.push(MARK);
          break;
        case '0':
          stack.pop();
          break;
        case '1':
          popMark();
          break;
        case '2':
          stack.push(top());
          break;
        case 'N':
          stack.push(null);
          break;
        case '\x88':
          stack.push(true);
          break;
        case '\x89':
          stack.push(false);
          break;
        case 'I': {
          const text = line();
          stack.push(text === '01' ? true : text === '00' ? false : Number(text));
          break;
        }
        case 'L':
          stack.push(Number(line().replace(/L$/, '')));
          break;
        case 'F':
          stack.push(Number(line()));
          break;
        case 'J':
          stack.push(buffer.readInt32LE(skip(4)));
          break;
        case 'K':
          stack.push(u8());
          break;
        case 'M':
          stack.push(buffer.readUInt16LE(skip(2)));
          break;
        case 'G':
          stack.push(buffer.readDoubleBE(skip(8)));
          break;
        case '\x8a':
          stack.push(long(u8()));
          break;
        case '\x8b':
          stack.push(long(buffer.readUInt32LE(skip(4))));
          break;
        case 'S':
          stack.push(line().replace(/^(['"])(.*)\1$/, '$2'));
          break;
        case 'V':
          stack.push(
            line().replace(/\\u([0-9a-f]{4})/gi, (_all, code: string) =>
              String.fromCharCode(Number.parseInt(code, 16)),
            ),
          );
          break;
        case 'T':
          stack.push(take(buffer.readUInt32LE(skip(4))));
          break;
        case 'U':
          stack.push(take(u8()));
          break;
        case 'B':
          stack.push(take(buffer.readUInt32LE(skip(4))));
          break;
        case 'C':
          stack.push(take(u8()));
          break;
        case '\x8e':
        case '\x96':
          stack.push(take(size64()));
          break;
        case 'X':
          stack.push(take(buffer.readUInt32LE(skip(4))).toString());
          break;
        case '\x8c':
          stack.push(take(u8()).toString());
          break;
        case '\x8d':
          stack.push(take(size64()).toString());
          break;
        case ')':
        case ']':
          stack.push([]);
          break;
        case 't':
        case 'l':
          stack.push(popMark());
          break;
        case '\x85':
        case '\x86':
        case '\x87': {
          const count = op.charCodeAt(0) - 0x84;
          if (stack.length < count) throw new PickleFault('it takes something that is not there');
          stack.push(stack.splice(-count));
          break;
        }
        case '}':
          stack.push(new Map());
          break;
        case 'd': {
          const made = new Map<unknown, unknown>();
          put(made, popMark());
          stack.push(made);
          break;
        }
        case 's': {
          const [value, key] = [pop(), pop()];
          put(top(), [key, value]);
          break;
        }
        case 'u': {
          const pairs = popMark();
          put(top(), pairs);
          break;
        }
        case 'a': {
          const item = pop();
          append(top(), [item]);
          break;
        }
        case 'e': {
          const items = popMark();
          append(top(), items);
          break;
        }
        case '\x8f':
          stack.push(new Made(new Global('builtins.set'), []));
          break;
        case '\x90': {
          const items = popMark();
          append(top(), items);
          break;
        }
        case '\x91':
          stack.push(new Made(new Global('builtins.frozenset'), popMark()));
          break;
        case 'c':
          global(line(), line());
          break;
        case '\x93': {
          const [name, module] = [pop(), pop()];
          global(module, name);
          break;
        }
        case 'R':
        case '\x81': {
          const [args, callee] = [pop(), pop()];
          stack.push(new Made(callee, args));
          break;
        }
        case '\x92': {
          pop();
          const [args, callee] = [pop(), pop()];
          stack.push(new Made(callee, args));
          break;
        }
        case 'o': {
          const [callee, ...args] = popMark();
          stack.push(new Made(callee, args));
          break;
        }
        case 'i': {
          const args = popMark();
          global(line(), line());
          stack.push(new Made(stack.pop(), args));
          break;
        }
        case 'b': {
          const state = pop();
          const target = top();
          if (!(target instanceof Made)) break;
          target.state = state;
          if (target.callee instanceof Global && target.callee.name === JOBLIB_ARRAY) {
            stack.pop();
            stack.push(joblibArray(state, nested));
          }
          break;
        }
        case 'q':
          memo.set(u8(), top());
          break;
        case 'r':
          memo.set(buffer.readUInt32LE(skip(4)), top());
          break;
        case 'p':
          memo.set(Number(line()), top());
          break;
        case '\x94':
          memo.set(memo.size, top());
          break;
        case 'h':
          recall(u8());
          break;
        case 'j':
          recall(buffer.readUInt32LE(skip(4)));
          break;
        case 'g':
          recall(Number(line()));
          break;
        case 'P':
          stack.push(new Made(new Global('persistent'), line()));
          break;
        case 'Q':
          stack.push(new Made(new Global('persistent'), pop()));
          break;
        case '\x97':
          stack.push(null);
          break;
        case '\x98':
          break;
        case '\x82':
        case '\x83':
        case '\x84':
          skip({ '\x82': 1, '\x83': 2, '\x84': 4 }[op]);
          globals.add('copyreg.extension');
          stack.push(new Global('copyreg.extension'));
          break;
        default:
          throw new PickleFault(`the opcode ${op.charCodeAt(0)} is unknown`);
      }
    }
  }

  /** joblib writes an array behind its wrapper: one pickled, where it holds objects, else its bytes behind some padding. */
  function joblibArray(state: unknown, nested: number): unknown {
    const about = state instanceof Map ? state : new Map<unknown, unknown>();
    const dtype = dtypeOf(about.get('dtype'));
    const shape = about.get('shape');
    if (dtype === null || !Array.isArray(shape)) throw new PickleFault('an array of joblib cannot be read');
    if (dtype.includes('O')) return readOne(nested + 1);
    if (about.has('numpy_array_alignment_bytes') && about.get('numpy_array_alignment_bytes') !== null) skip(u8());
    const item = Number(ITEM_BYTES.exec(dtype)?.[1] ?? Number.NaN) || (dtype.endsWith('?') ? 1 : Number.NaN);
    const bytesOfItem = /U(\d+)$/.test(dtype) ? 4 * Number(/U(\d+)$/.exec(dtype)![1]) : item;
    const length = shape.reduce<number>((product, size) => product * Number(size), 1) * bytesOfItem;
    if (!Number.isSafeInteger(length) || length < 0) throw new PickleFault('an array of joblib has no size');
    return new StoredArray(dtype, shape as number[], take(length));
  }

  function u8(): number {
    return buffer[skip(1)]!;
  }

  function skip(count: number): number {
    const from = at;
    if (!(count <= buffer.length - at)) throw new PickleFault(`it ends too early (${buffer.length} bytes)`);
    at += count;
    return from;
  }

  function take(count: number): Buffer {
    const from = skip(count);
    return buffer.subarray(from, from + count);
  }

  function size64(): number {
    return Number(buffer.readBigUInt64LE(skip(8)));
  }

  function line(): string {
    const end = buffer.indexOf(10, at);
    if (end < 0) throw new PickleFault('it ends inside a line');
    const text = buffer.toString('latin1', at, end);
    at = end + 1;
    return text;
  }

  function long(size: number): number {
    const raw = take(size);
    let value = 0n;
    for (let i = raw.length - 1; i >= 0 && raw.length <= 16; i--) value = (value << 8n) | BigInt(raw[i]!);
    if (raw.length > 0 && raw.length <= 16 && raw.at(-1)! >= 128) value -= 1n << BigInt(8 * raw.length);
    return Number(value);
  }
}
