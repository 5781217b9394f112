import { isName, NAME_RULE } from '../base/ids.ts';
import { CliError } from './cli-error.ts';

/** A name by the server's rules from any text; empty when nothing of it may stay. */
export function suggestName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 63);
}

/**
 * Refuses a name that the server would refuse, before anything is sent.
 * @param where the flag or argument that gave it, as `--name`
 */
export function checkName(where: string, name: string): string {
  if (isName(name)) return name;
  const better = suggestName(name);
  throw new CliError('usage', `${where} is ${JSON.stringify(name)}, which is not allowed: ${NAME_RULE}`, {
    code: 'invalid_name',
    hint: better === '' ? 'Take a name such as my-model.' : `For example ${better}.`,
  });
}

/** The same for an option that may be absent. */
export function checkNameOption(where: string, name: string | undefined): string | undefined {
  return name === undefined ? undefined : checkName(where, name);
}
