import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The release, as package.json says it. Sources and the built package lie at different depths below that file. */
export const RELEASE: string = findRelease(import.meta.dirname);

function findRelease(folder: string): string {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
    };
    if (manifest.name === 'slipway') return manifest.version;
  } catch {
    // not here: look one folder up
  }
  const parent = dirname(folder);
  return parent === folder ? 'unknown' : findRelease(parent);
}
