import type { Listing, Page } from '../../sdk/src/client.ts';
import { parseCount } from './key-values.ts';
import type { OptionSpec, VerbCall } from './verb.ts';

export const LIST_OPTIONS: readonly OptionSpec[] = [
  { flags: '--limit <number>', help: 'at most this many; all unless given' },
];

const PAGE = 100;

/**
 * Reads pages until the wanted number of items is there.
 * @param look gets each page
 */
export async function listing<T, P extends Page<T>>(
  call: VerbCall,
  open: (options: { limit: number; signal: AbortSignal }) => Listing<T, P>,
  look: (page: P) => void = () => undefined,
): Promise<T[]> {
  const text = call.options.text('limit');
  const wanted = text === undefined ? Number.POSITIVE_INFINITY : parseCount('--limit', text);
  const list = open({ limit: Math.min(PAGE, wanted), signal: call.signal });
  const items: T[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await list.page(cursor);
    look(page);
    items.push(...page.items.slice(0, wanted - items.length));
    if (page.nextCursor === null || items.length >= wanted) return items;
    cursor = page.nextCursor;
  }
}
