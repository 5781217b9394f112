/** What a model is, and the rules for words that people attach to models and versions. */
import { type FieldError, SlipwayError } from '../base/errors.ts';
import { isName, NAME_RULE } from '../base/ids.ts';
import { pointerOf } from '../base/json.ts';

export type Tags = Readonly<Record<string, string>>;

export type Model = {
  readonly project: string;
  readonly name: string;
  readonly description: string | null;
  /** Markdown, as it was given: whoever shows it must treat it as hostile. */
  readonly card: string | null;
  readonly tags: Tags;
  readonly latestVersion: number | null;
  readonly aliases: Readonly<Record<string, number>>;
  readonly revision: number;
  readonly createdAt: string;
  readonly createdBy: string;
};

export const MAX_DESCRIPTION_LENGTH = 1000;
/** Characters; with four bytes each it stays below the largest body. */
export const MAX_CARD_LENGTH = 1024 * 1024;
export const MAX_TAGS = 64;
export const TAG_KEY_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$';
export const MAX_TAG_LENGTH = 256;

/** @throws SlipwayError `invalid_name` */
export function assertName(name: string, pointer: string, what: string): void {
  if (isName(name)) return;
  throw new SlipwayError(
    'invalid_name',
    `${JSON.stringify(name.slice(0, 80))} cannot be the name of ${what}: ${NAME_RULE}`,
    {
      fields: [{ pointer, message: NAME_RULE }],
    },
  );
}

/** The same bounds as the API's schemas, for callers that come another way. */
export function assertWords(words: { description?: string | null; card?: string | null; tags?: Tags }): void {
  const fields: FieldError[] = [];
  if ((words.description?.length ?? 0) > MAX_DESCRIPTION_LENGTH) {
    fields.push({ pointer: '/description', message: `must have at most ${MAX_DESCRIPTION_LENGTH} characters` });
  }
  if ((words.card?.length ?? 0) > MAX_CARD_LENGTH) {
    fields.push({ pointer: '/card', message: `must have at most ${MAX_CARD_LENGTH} characters` });
  }
  for (const field of ['description', 'card'] as const) {
    if (words[field]?.includes('\u0000')) fields.push({ pointer: `/${field}`, message: 'has a NUL character' });
  }
  const tags = Object.entries(words.tags ?? {});
  if (tags.length > MAX_TAGS) fields.push({ pointer: '/tags', message: `must have at most ${MAX_TAGS} tags` });
  for (const [key, value] of tags.slice(0, MAX_TAGS)) {
    const pointer = pointerOf(['tags', key.slice(0, 80)]);
    if (!new RegExp(TAG_KEY_PATTERN).test(key))
      fields.push({ pointer, message: `must have a key like ${TAG_KEY_PATTERN}` });
    if (value.length > MAX_TAG_LENGTH || value.includes('\u0000')) {
      fields.push({ pointer, message: `must be a text of at most ${MAX_TAG_LENGTH} characters` });
    }
  }
  if (fields.length > 0) {
    throw new SlipwayError('invalid_request', `${fields[0]!.pointer} ${fields[0]!.message}`, { fields });
  }
}

/** @throws SlipwayError `revision_conflict` when If-Match names another revision */
export function assertRevision(what: string, revision: number, ifMatch: number | null): void {
  if (ifMatch === null || ifMatch === revision) return;
  throw new SlipwayError('revision_conflict', `${what} is at revision ${revision}, not ${ifMatch}`, {
    hint: 'Read it again and repeat the change if it still makes sense.',
    extra: { revision },
  });
}
