import type { Listing, Page } from '@slipway/sdk';

/** Rows of one page of the server, at most. */
export const PAGE_LIMIT = 200;

/** As many as are looked at together; where there are more, `nextCursor` is not null. */
export async function firstOf<T>(listing: Listing<T>, most = 1000): Promise<Page<T>> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await listing.page(cursor);
    items.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined && items.length < most);
  return { items, nextCursor: cursor ?? null };
}
