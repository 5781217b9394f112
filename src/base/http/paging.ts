import { Type } from 'typebox';
import { SlipwayError } from '../errors.ts';

export const DEFAULT_LIMIT = 50;
export const MAX_LIMIT = 200;

/** The query of every list. */
export const PageQuery = Type.Object({
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_LIMIT,
      description: `Items a page has at most; ${DEFAULT_LIMIT} unless told.`,
    }),
  ),
  cursor: Type.Optional(Type.String({ maxLength: 1024, description: '`nextCursor` of the page before.' })),
});

export type Page<T> = { readonly items: T[]; readonly nextCursor: string | null };

/** A cursor is the sort key of the last item shown, opaque to clients. Pages stay right while items come and go. */
export function encodeCursor(after: string): string {
  return Buffer.from(`1${after}`).toString('base64url');
}

/**
 * What a list's query asks for.
 * @returns `after`: the sort key behind which the page starts, null for the first
 * @throws SlipwayError `invalid_cursor`
 */
export function decodeCursor(query: { readonly limit?: number; readonly cursor?: string }): {
  limit: number;
  after: string | null;
} {
  const limit = query.limit ?? DEFAULT_LIMIT;
  if (query.cursor === undefined || query.cursor === '') return { limit, after: null };
  const text = Buffer.from(query.cursor, 'base64url').toString();
  if (!text.startsWith('1') || encodeCursor(text.slice(1)) !== query.cursor) {
    throw new SlipwayError('invalid_cursor', 'The cursor was not made by this server', {
      hint: 'Take nextCursor of the page before, or leave it out to start at the beginning.',
    });
  }
  return { limit, after: text.slice(1) };
}

/** @param items up to one more than the limit: the surplus tells that there is a next page */
export function pageOf<T>(items: readonly T[], limit: number, keyOf: (item: T) => string): Page<T> {
  const shown = items.slice(0, limit);
  const last = shown.at(-1);
  return { items: shown, nextCursor: items.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : null };
}

/** The entity tag of a mutable thing: its revision. */
export function etag(revision: number): string {
  return `"${revision}"`;
}

/** @throws SlipwayError `invalid_request` when it is no entity tag of ours */
export function parseIfMatch(header: string | undefined): number | null {
  if (header === undefined || header.trim() === '*') return null;
  const match = /^\s*(?:W\/)?"(\d{1,15})"\s*$/.exec(header);
  if (match) return Number(match[1]);
  throw new SlipwayError('invalid_request', 'If-Match must be one entity tag as it came in ETag, such as "3"');
}
