import { relative } from 'node:path';
import { packageRoot } from './processes.ts';

/** How this command is typed here: `slipway` where it is installed, the path of `bin/slipway` in a checkout. */
export function commandWord(): string {
  if (!import.meta.url.endsWith('.ts')) return 'slipway';
  const path = relative(process.cwd(), `${packageRoot()}/bin/slipway`);
  return path.startsWith('..') ? 'slipway' : path;
}

/** Advice of server or command line, which says `slipway`, in the words that work here. */
export function adviceText(text: string): string {
  return text.replace(/(^|[\s`(])slipway (?=[a-z])/g, (_all, before: string) => `${before}${commandWord()} `);
}
