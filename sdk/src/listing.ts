import type { Page } from './types.ts';

/** A paged list: iterate over everything, or take page by page. */
export type Listing<T> = AsyncIterable<T> & {
  page(cursor?: string): Promise<Page<T>>;
  all(): Promise<T[]>;
};

export function createListing<T>(fetchPage: (cursor: string | undefined) => Promise<Page<T>>): Listing<T> {
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
