import { readFileSync } from 'node:fs';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { SETTINGS_FILE } from './data-folder.ts';
import type { FieldError } from './errors.ts';

export type FileSetting = { readonly key: string; readonly value: unknown; readonly line: number };

/** Reads the optional settings file; what is wrong with it goes to `faults`. Lines count from 1. */
export function readSettingsFile(path: string, faults: FieldError[]): FileSetting[] {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch {
    return []; // no file, or no data folder yet
  }
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  const [error] = document.errors;
  if (error) {
    faults.push({ pointer: '', message: `${SETTINGS_FILE} cannot be read: ${error.message}` });
    return [];
  }
  if (document.contents === null) return [];
  if (!isMap(document.contents)) {
    faults.push({ pointer: '', message: `${SETTINGS_FILE} must be a map from setting names to values` });
    return [];
  }
  const values = document.toJS() as Record<string, unknown>;
  return document.contents.items.map(({ key }) => {
    const name = String(isScalar(key) ? key.value : key);
    const at = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    return { key: name, value: values[name], line: lines.linePos(at).line };
  });
}
