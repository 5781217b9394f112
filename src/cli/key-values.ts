import { CliError } from './cli-error.ts';

/** `--tag team=risk --tag stage=trial` as a map. */
export function parseKeyValues(flag: string, items: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const item of items) {
    const at = item.indexOf('=');
    if (at < 1) {
      throw new CliError('usage', `${flag} needs a name and a value, but is ${JSON.stringify(item)}`, {
        hint: `Write it like ${flag} team=risk.`,
      });
    }
    values[item.slice(0, at)] = item.slice(at + 1);
  }
  return values;
}

/** A whole number of at least `least` from an option. */
export function parseCount(flag: string, text: string, least = 1): number {
  const n = Number(text);
  if (!/^\d+$/.test(text) || n < least || !Number.isSafeInteger(n)) {
    throw new CliError('usage', `${flag} is ${JSON.stringify(text)}; it must be a whole number from ${least}`);
  }
  return n;
}

/** A number from 0 to `most` from an option. */
export function parseShare(flag: string, text: string, most = 1): number {
  const n = Number(text);
  if (text.trim() === '' || !(n >= 0 && n <= most)) {
    const range = most === 1 ? 'a number from 0 to 1' : 'a number from 0';
    throw new CliError('usage', `${flag} is ${JSON.stringify(text)}; it must be ${range}`);
  }
  return n;
}

/** `churn@2` as model and version reference; a bare name means `fallback`, or is refused when there is none. */
export function parseVersionRef(text: string, fallback?: string): { model: string; ref: string } {
  const [model, ref, ...rest] = text.split('@');
  if (!model || rest.length > 0 || ref === '') {
    throw new CliError('usage', `${JSON.stringify(text)} does not name a version`, {
      hint: 'Write it like churn@2, churn@champion or churn@latest.',
    });
  }
  const named = ref ?? fallback;
  if (named === undefined) {
    throw new CliError('usage', `${JSON.stringify(text)} names a model but no version`, {
      hint: `Write it like ${model}@2, or ${model}@latest.`,
    });
  }
  return { model, ref: named };
}
