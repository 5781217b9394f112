import { quoteForShell } from '../base/shell.ts';
import { commandWord } from './command-word.ts';
import type { OptionReader } from './verb.ts';

/** What says which server and project a command speaks to. From the environment they hold for the next command too; flags do not. */
const CARRIED: readonly (readonly [option: string, flag: string])[] = [
  ['project', '--project'],
  ['url', '--url'],
  ['keyFile', '--key-file'],
  ['data', '--data'],
];

/** A command to paste after this one: for the same server and project. `words` is quoted already. */
export function commandText(options: OptionReader, words: string): string {
  const carried = CARRIED.flatMap(([option, flag]) => {
    const value = options.text(option);
    return value === undefined || words.includes(`${flag} `) ? [] : [`${flag} ${quoteWord(value)}`];
  });
  return [commandWord(), words, ...carried].join(' ');
}

/** This very command once more, without some of its flags and with others. */
export function sameCommand(change: { without?: string; with?: string }, argv = process.argv.slice(2)): string {
  const words = argv.filter((word) => word !== change.without).map(quoteWord);
  return [commandWord(), ...words, ...(change.with === undefined ? [] : [change.with])].join(' ');
}

/** Only what a shell would read otherwise gets quotes. */
export function quoteWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : quoteForShell(text);
}
