import type { Listing } from '../../sdk/src/client.ts';
import { parseCount } from './key-values.ts';
import type { OptionSpec, VerbCall } from './verb.ts';

export const LIST_OPTIONS: readonly OptionSpec[] = [
  { flags: '--limit <number>', help: 'at most this many; all unless given' },
];

const PAGE = 100;

/** Reads pages until the wanted number of items is there. */
export async function listing<T>(
  call: VerbCall,
  open: (options: { limit: number; signal: AbortSignal }) => Listing<T>,
): Promise<T[]> {
  const text = call.options.text('limit');
  const wanted = text === undefined ? Number.POSITIVE_INFINITY : parseCount('--limit', text);
  const items: T[] = [];
  for await (const item of open({ limit: Math.min(PAGE, wanted), signal: call.signal })) {
    items.push(item);
    if (items.length >= wanted) break;
  }
  return items;
}
