import { SETTINGS, type SettingName } from '../../base/settings.ts';
import type { OptionSpec, VerbCall } from '../verb.ts';

/** Every server setting is a flag of `serve`; the table of settings says which. */
export const SERVE_OPTIONS: readonly OptionSpec[] = Object.values(SETTINGS).map((row) => ({
  flags: `${row.flag} <value>`,
  help: `${row.help} (${row.env})`,
}));

/** The settings that were given as flags, as typed. */
export function settingFlags(options: VerbCall['options']): Partial<Record<SettingName, string>> {
  const flags: Partial<Record<SettingName, string>> = {};
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const value = options.text(
      SETTINGS[name].flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
    );
    if (value !== undefined) flags[name] = value;
  }
  return flags;
}
