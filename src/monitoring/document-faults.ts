/** Documents that people write (policies, rules): what is not as it should be is told all at once, each with its place. */
import { closestWord } from '../base/closest-word.ts';

/** @param pointer of the place, such as `/columns/input.age/range` */
export type TellFault = (pointer: string, message: string) => void;

/** A map of names and values; an empty one, and a fault, for anything else. */
export function mapOf(value: unknown, pointer: string, fault: TellFault): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  fault(pointer, 'must be a map of names and values');
  return {};
}

export function tellUnknown(
  given: Readonly<Record<string, unknown>>,
  known: readonly string[],
  pointer: string,
  fault: TellFault,
): void {
  for (const name of Object.keys(given).filter((one) => !known.includes(one))) {
    const near = closestWord(name, [...known]);
    fault(`${pointer}/${name}`, near ? `is not known here; did you mean ${near}?` : 'is not known here');
  }
}
