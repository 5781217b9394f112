import { readFileSync, renameSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { writeDurably } from '../../base/durable-file.ts';
import type { Logger } from '../../base/log.ts';
import type { DesiredState } from '../endpoints/desired-state.ts';

/** The form that this release reads and writes. */
export const STATE_SCHEMA = 1;

export type DesiredStateFile = {
  /** The state kept last, or null. A file that cannot be used is set aside, never overwritten: it is somebody's evidence. */
  load(): DesiredState | null;
  /** Keeps a state: on disk before it resolves. Calls of the same time are merged, the last state wins. */
  save(state: DesiredState): Promise<void>;
};

/** @param path relative to the working directory, `<data>/run` */
export function createDesiredStateFile({
  path,
  log,
  clock,
}: {
  path: string;
  log: Logger;
  clock: Clock;
}): DesiredStateFile {
  let saving: Promise<void> | null = null;
  let next: DesiredState | null = null;

  const setAside = (why: string): null => {
    const aside = `${path}.${clock.now().toISOString().replaceAll(':', '')}.unusable`;
    renameSync(path, aside);
    log.error({ why, keptAs: aside }, 'the kept desired state cannot be used; waiting for control to send one');
    return null;
  };

  const writeAll = async (): Promise<void> => {
    while (next !== null) {
      const state = next;
      next = null;
      await writeDurably(path, JSON.stringify(state));
    }
  };

  return {
    load() {
      let text: string;
      try {
        text = readFileSync(path, 'utf8');
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ENOENT') return null;
        throw error;
      }
      let state: unknown;
      try {
        state = JSON.parse(text);
      } catch {
        return setAside('it is not JSON');
      }
      const fault = assessState(state);
      return fault === null ? (state as DesiredState) : setAside(fault);
    },
    save(state) {
      next = state;
      saving ??= writeAll().finally(() => {
        saving = null;
      });
      return saving;
    },
  };
}

/** What keeps a document from being a desired state of this release, else null. */
export function assessState(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return 'it is not an object';
  const { schema, generation, endpoints, versions, keys } = value as Partial<Record<keyof DesiredState, unknown>>;
  if (schema !== STATE_SCHEMA)
    return `it has the form ${JSON.stringify(schema)}, this release reads form ${STATE_SCHEMA}`;
  if (!Number.isSafeInteger(generation) || (generation as number) < 1) return 'its generation is not a number';
  if (!Array.isArray(endpoints) || !Array.isArray(versions) || !Array.isArray(keys)) return 'a part of it is missing';
  for (const [what, items, fields] of [
    ['endpoint', endpoints, { project: 'string', name: 'string', model: 'string', version: 'number', pins: 'object' }],
    [
      'version',
      versions,
      {
        project: 'string',
        model: 'string',
        version: 'number',
        entry: 'string',
        files: 'object',
        signature: 'object',
        limits: 'object',
        sampleRequest: 'object',
      },
    ],
    ['key', keys, { id: 'string', secretSha256: 'string', scopes: 'object' }],
  ] as const) {
    if (!items.every((item) => hasFields(item, fields))) return `a ${what} in it is not whole`;
  }
  return null;
}

function hasFields(item: unknown, fields: Readonly<Record<string, string>>): boolean {
  if (typeof item !== 'object' || item === null) return false;
  return Object.entries(fields).every(([name, type]) => {
    const value = (item as Record<string, unknown>)[name];
    return typeof value === type && value !== null;
  });
}
