import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Inputs of a target that the repository keeps: one JSON string a line, each character a byte. */
export function readCorpus(target: string): Buffer[] {
  const path = pathOf(target);
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Buffer.from(JSON.parse(line) as string, 'latin1'));
}

/** Adds inputs that are not there yet. */
export function addToCorpus(target: string, inputs: readonly Buffer[]): void {
  const lines = new Set([...readCorpus(target), ...inputs].map((input) => JSON.stringify(input.toString('latin1'))));
  writeFileSync(pathOf(target), [...lines, ''].join('\n'));
}

const pathOf = (target: string): string => join(import.meta.dirname, `corpus/${target}.jsonl`);
