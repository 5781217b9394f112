/** Aliases: movable names for versions, whose every move is kept. */
import { SlipwayError } from '../base/errors.ts';
import { assertName } from './model.ts';

export type Alias = {
  readonly model: string;
  readonly name: string;
  readonly version: number;
  readonly revision: number;
  readonly updatedAt: string;
};

/** One move. `from` is null when the alias was new, `to` when it was removed. */
export type AliasChange = {
  readonly name: string;
  readonly from: number | null;
  readonly to: number | null;
  readonly actor: string;
  readonly reason: string | null;
  readonly at: string;
};

/** Where a version can be named, these words and plain numbers have a meaning already. */
const RESERVED = new Set(['latest']);

/** @throws SlipwayError `invalid_name` */
export function assertAliasName(name: string): void {
  assertName(name, '/alias', 'an alias');
  if (!RESERVED.has(name) && !/^\d+$/.test(name)) return;
  throw new SlipwayError('invalid_name', `${name} cannot be the name of an alias: it means a version already`, {
    hint: 'Take a word such as champion, stable or candidate.',
  });
}
