import { parseEndpointRef } from '../endpoints/routing.ts';
import type { Named } from '../gateway/find-endpoint.ts';
import type { Meter } from '../gateway/metrics.ts';

/** A model as callers name it, and the meter of the version that answered it last. */
export type NamedModel = Named & {
  /** Without a version, as it is named in answers. */
  readonly shown: string;
  meterOf: number;
  meter: Meter | null;
};

const DEFAULT_PROJECT = 'default';
/** Bounded, because callers choose names. */
const REMEMBERED = 2000;
const LONGEST_REMEMBERED = 200;

/**
 * Reads `endpoint`, `endpoint@version` or `project/endpoint`, with the version also beside it. What was read before is found by one look.
 */
export function createModelNames(): (name: string, version: string, label?: string) => NamedModel {
  const remembered = new Map<string, NamedModel>();
  return (name, version, label) => {
    const key = label !== undefined ? `${name}\0${label}` : version === '' ? name : `${name}@${version}`;
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const named = readName(name, version, label);
    if (key.length <= LONGEST_REMEMBERED) {
      if (remembered.size >= REMEMBERED) remembered.clear();
      remembered.set(key, named);
    }
    return named;
  };
}

function readName(name: string, version: string, label: string | undefined): NamedModel {
  const slash = name.indexOf('/');
  const project = slash === -1 ? DEFAULT_PROJECT : name.slice(0, slash);
  const rest = name.slice(slash + 1);
  const plain = parseEndpointRef(rest, version === '' ? undefined : version);
  const ref = plain === null || label === undefined ? plain : plain.pin === null ? { ...plain, label } : null;
  const badRef = ref === null ? (version === '' ? rest : `${rest} version ${version}`) : null;
  const shown = `${name.slice(0, slash + 1)}${ref?.name ?? rest}`;
  return { project, ref, badRef, shown, meterOf: 0, meter: null };
}
