/** How the text of a setting becomes its value. Each throws an Error that says what the text has to be. */
import { availableParallelism } from 'node:os';

export const MIB = 1024 * 1024;
const UNITS: Record<string, number> = { b: 1, kib: 1024, mib: MIB, gib: 1024 * MIB };
const TIME_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const text = (value: string): string => value;

export function integer(min: number, max: number): (value: string) => number {
  return (value) => {
    const n = Number(value);
    if (!/^-?\d+$/.test(value.trim()) || n < min || n > max) throw new Error(`a whole number from ${min} to ${max}`);
    return n;
  };
}

/** A port, or no listener at all. */
export function portOrOff(value: string): number | 'off' {
  if (value === 'off') return 'off';
  try {
    return integer(0, 65535)(value);
  } catch {
    throw new Error('a whole number from 0 to 65535, or off');
  }
}

/** A number of processes, or `auto`: one less than the machine has cores, and at most `autoMost`. */
export function processes(max: number, autoMost: number): (value: string) => number {
  return (value) => {
    if (value.trim() === 'auto') return Math.max(1, Math.min(availableParallelism() - 1, autoMost));
    const n = Number(value);
    if (!/^\d+$/.test(value.trim()) || n < 1 || n > max) throw new Error(`a whole number from 1 to ${max}, or auto`);
    return n;
  };
}

export function oneOf<const T extends string>(...allowed: T[]): (value: string) => T {
  return (value) => {
    if (!allowed.includes(value as T)) throw new Error(`one of ${allowed.join(', ')}`);
    return value as T;
  };
}

/** Sizes carry their unit: `64MiB`, `512KiB`, `2GiB`, `100b`. */
export function size(value: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(b|kib|mib|gib)$/i.exec(value.trim());
  if (!match) throw new Error('a size with its unit, such as 64MiB');
  return Math.round(Number(match[1]) * UNITS[match[2]!.toLowerCase()]!);
}

/** Durations carry their unit: `500ms`, `30s`, `5m`, `1h`, `30d`. Gives milliseconds. */
export function duration(value: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(value.trim());
  if (!match) throw new Error('a duration with its unit, such as 30s');
  return Math.round(Number(match[1]) * TIME_UNITS[match[2]!]!);
}

export function list(value: string): readonly string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

export type NamedPort = { readonly name: string; readonly port: number };

/** `name=port`, comma separated, each name once. */
export function namedPorts(value: string): readonly NamedPort[] {
  const fault = new Error('pairs such as tensorflow-serving=8501, each protocol once');
  const ports = list(value).map((pair): NamedPort => {
    const match = /^([a-z0-9-]+)=(\d{1,5})$/.exec(pair);
    if (match === null || Number(match[2]) > 65535) throw fault;
    return { name: match[1]!, port: Number(match[2]) };
  });
  if (new Set(ports.map(({ name }) => name)).size < ports.length) throw fault;
  return ports;
}
