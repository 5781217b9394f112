import type { Client } from '../../sdk/src/client.ts';
import type { Output } from './output.ts';

/**
 * A verb is data and one function: help, completion, the reference page and the tests that walk every command are all made from
 * these. One file per noun or verb in this folder; `verbs.ts` lists them.
 */
export type ArgumentSpec = {
  readonly name: string;
  readonly help: string;
  /** Default true. */
  readonly required?: boolean;
  /** What completion offers. */
  readonly completes?: 'model' | 'version' | 'endpoint' | 'alias' | 'key' | 'project' | 'file' | readonly string[];
};

export type OptionSpec = {
  /** As commander reads them: `--tag <k=v>`, `-f, --follow`, `--no-wait`. */
  readonly flags: string;
  readonly help: string;
  readonly repeatable?: boolean;
  readonly choices?: readonly string[];
  /** Value when the flag is given without one. */
  readonly preset?: string;
};

export type VerbSpec = {
  readonly name: string;
  readonly summary: string;
  /** More than the summary says, in whole sentences. */
  readonly about?: string;
  readonly examples: readonly (readonly [command: string, effect: string])[];
  readonly args?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** Adds --dry-run. */
  readonly changes?: boolean;
  /** Adds --confirm: destroys what cannot be brought back. */
  readonly severe?: boolean;
  /** Speaks to no server: no --url, --key-file, --project. */
  readonly local?: boolean;
  /** Left out of help and reference. */
  readonly hidden?: boolean;
  /** Gives an exit code; nothing is 0. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a verb that always succeeds ends without a return
  run(call: VerbCall): Promise<number | void>;
};

/** A noun with its verbs. */
export type NounSpec = { readonly verbs: readonly VerbSpec[] };

export type VerbCall = {
  /** Positional arguments, in the order of the spec; absent optional ones are undefined. */
  readonly args: readonly (string | undefined)[];
  readonly options: OptionReader;
  readonly out: Output;
  /** The client for the server that options, environment and data folder name. */
  client(needs?: { readonly keyOptional?: boolean }): Promise<Client>;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  readonly dryRun: boolean;
  /**
   * For what cannot be undone: asks on a terminal to type the name, elsewhere needs `--confirm=<name>`. Throws a usage error otherwise.
   */
  confirm(what: string, name: string, consequence: string): Promise<void>;
};

/** Typed reading of what commander parsed. */
export type OptionReader = {
  text(name: string): string | undefined;
  flag(name: string): boolean;
  /** false only when `--no-<name>` was given. */
  unlessNo(name: string): boolean;
  list(name: string): readonly string[];
};

export function readOptions(values: Readonly<Record<string, unknown>>): OptionReader {
  return {
    text: (name) => {
      const value = values[name];
      return typeof value === 'string' ? value : undefined;
    },
    flag: (name) => values[name] === true,
    unlessNo: (name) => values[name] !== false,
    list: (name) => {
      const value = values[name];
      return Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [];
    },
  };
}
