import { SETTINGS } from '../../base/settings.ts';
import type { OptionSpec } from '../verb.ts';

/** Every server setting is a flag of `serve`; the table of settings says which. */
export const SERVE_OPTIONS: readonly OptionSpec[] = Object.values(SETTINGS).map((row) => ({
  flags: `${row.flag} <value>`,
  help: `${row.help} (${row.env})`,
}));
