import type { Page } from './types.ts';

/** A paged list: iterate over everything, or take page by page. */
export type Listing<T, P extends Page<T> = Page<T>> = AsyncIterable<T> & {
  page(cursor?: string): Promise<P>;
  all(): Promise<T[]>;
};

export function createListing<T, P extends Page<T> = Page<T>>(
  fetchPage: (cursor: string | undefined) => Promise<P>,
): Listing<T, P> {
  async function* iterate(): AsyncGenerator<T> {
    let cursor: string | undefined;
    do {
      const page = await fetchPage(cursor);
      yield* page.items;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }
  return {
    [Symbol.asyncIterator]: iterate,
    page: fetchPage,
    async all() {
      const items: T[] = [];
      for await (const item of iterate()) items.push(item);
      return items;
    },
  };
}
