import { closestWord } from './closest-word.ts';
import { SETTINGS } from './settings.ts';

const OURS = 'SLIPWAY_';
/** Tests of the product itself have variables of their own. */
const OF_TESTS = 'SLIPWAY_TEST_';

/**
 * Warnings about variables that look like settings and are none, each with what was probably meant: a mistyped one would otherwise be
 * ignored without a word.
 * @param others variables with a meaning elsewhere, such as those of the command line
 */
export function warnOfUnknownVariables(
  env: Readonly<Record<string, string | undefined>>,
  others: readonly string[] = [],
): string[] {
  const known = [...Object.values(SETTINGS).map(({ env }) => env), ...others].map((name) => name.slice(OURS.length));
  return Object.keys(env)
    .filter((name) => name.startsWith(OURS) && !name.startsWith(OF_TESTS) && !known.includes(name.slice(OURS.length)))
    .sort()
    .map((name) => {
      const near = closestWord(name.slice(OURS.length), known);
      return `${name} is no setting and is ignored${near === null ? '' : `; did you mean ${OURS}${near}?`}`;
    });
}
