export type NamePage = { readonly after: string | null; readonly limit: number };

/**
 * One page by name of what a key may see: reads on past what it may not, so that a page is short only at the end of the list.
 * @param read one page of everything, in the order of the names
 */
export async function readPermittedPage<T extends { readonly name: string }>(
  page: NamePage,
  read: (page: NamePage) => Promise<readonly T[]>,
  isPermitted: (item: T) => boolean,
): Promise<T[]> {
  const seen: T[] = [];
  let { after } = page;
  for (;;) {
    const batch = await read({ after, limit: page.limit });
    seen.push(...batch.filter(isPermitted));
    if (batch.length < page.limit || seen.length >= page.limit) return seen.slice(0, page.limit);
    after = batch.at(-1)!.name;
  }
}
