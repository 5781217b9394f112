// Exits with 0 when node_modules holds what package-lock.json asks for. Runs on the system's Node, so plain JavaScript.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = process.argv[2];
const packagesOf = (path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages;
const asked = packagesOf('package-lock.json');
const installed = packagesOf('node_modules/.package-lock.json');

// Optional packages for other platforms are asked for and rightly absent.
const wrong = Object.entries(asked).filter(([path, entry]) => {
  if (!path.startsWith('node_modules/') || entry.link) return false;
  const there = installed[path];
  return there ? there.version !== entry.version : !entry.optional;
});
const extra = Object.keys(installed).filter((path) => path.startsWith('node_modules/') && !(path in asked));
process.exit(wrong.length + extra.length === 0 ? 0 : 1);
